#!/bin/sh
# fetch_arm_libraries.sh FOLDER: unpacks Debian's Abseil and Catch2 for arm64 into FOLDER, for
# cmake/aarch64_toolchain.cmake to find.
#
# Not installed: that would add an architecture to the machine's package system. Does nothing if
# FOLDER has them already.
set -eu
cmake=$(cd "$(dirname "$0")" && pwd)
out=$1
[ ! -e "$out/complete" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$cmake/private_apt.sh"
for suite in bookworm bookworm-backports; do
  echo "deb [signed-by=$debian_keys] $debian_mirror $suite main"
done >"$work/sources"
arm_apt() { private_apt -o APT::Architecture=arm64 -o APT::Architectures=arm64 "$@"; }

mkdir -p "$out"
arm_apt update
(cd "$work" && arm_apt download libabsl-dev libabsl20220623 libcatch2-dev/bookworm-backports)
for package in "$work"/*.deb; do dpkg-deb --extract "$package" "$out"; done
touch "$out/complete"
