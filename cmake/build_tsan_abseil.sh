#!/bin/sh
# build_tsan_abseil.sh FOLDER: puts a ThreadSanitizer build of Debian's libabsl_synchronization.so
# into FOLDER, for tests to find through LD_LIBRARY_PATH.
#
# Both Debian's gRPC and our code lock with absl::Mutex. In Debian's build ThreadSanitizer cannot
# see those locks and reports hundreds of races that are none. Seven files, some seconds; all other
# libraries stay Debian's, and tests/tsan.supp silences them. Fetches the source with apt; does
# nothing if FOLDER has the library already.
set -eu
cmake=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
library=libabsl_synchronization.so.20220623
[ ! -e "$out/$library" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$cmake/private_apt.sh"
echo "deb-src [signed-by=$debian_keys] $debian_mirror bookworm main" >"$work/sources"
cd "$work"
private_apt update
private_apt source --download-only abseil
tar xf abseil_*.orig.tar.gz
tar xf abseil_*.debian.tar.xz
cd abseil-*/
while read -r patch; do patch -s -p1 <"../debian/patches/$patch"; done <../debian/patches/series
cd absl/synchronization
# shellcheck disable=SC2046  # pkg-config prints several words
g++ -std=c++17 -O1 -g -fPIC -shared -fsanitize=thread -I../.. -Wl,-soname,$library \
  -o "$out/$library.part" \
  mutex.cc barrier.cc blocking_counter.cc notification.cc \
  internal/create_thread_identity.cc internal/per_thread_sem.cc internal/waiter.cc \
  $(pkg-config --libs absl_graphcycles_internal absl_time absl_symbolize absl_stacktrace \
    absl_malloc_internal absl_base)
mv "$out/$library.part" "$out/$library"
