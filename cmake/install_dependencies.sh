#!/bin/sh
# install_dependencies.sh [--tests]: Debian packages that fallow is built from and runs on.
#
# Makes a bare Debian 12 ready to build and install the library and its Python package; with
# --tests, also to run tests/run.sh. Needs root or sudo, and a network, only if something is
# missing; else it changes nothing and takes a fraction of a second. CUDA is no package of Debian:
# README.md says where else it may come from.
set -eu

packages="ca-certificates git g++ cmake ninja-build pkg-config ccache
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libabsl-dev
  libssl-dev zlib1g-dev libc-ares-dev libre2-dev nlohmann-json3-dev libsodium-dev
  python3 python3-dev python3-venv python3-pip"
backports=""
case "${1-}" in
  "") ;;
  --tests)
    packages="$packages clang-14 libclang-rt-14-dev clang-format-14 binutils patch xz-utils
      g++-aarch64-linux-gnu qemu-user"
    backports="catch2"  # 3.7; bookworm itself has 2.13
    ;;
  *)
    echo "usage: install_dependencies.sh [--tests]" >&2
    exit 2
    ;;
esac

version_of() { dpkg-query --show --showformat='${db:Status-Status} ${Version}\n' "$1" 2>/dev/null; }

missing=""
for package in $packages; do
  case "$(version_of "$package")" in
    installed*) ;;
    *) missing="$missing $package" ;;
  esac
done
missing_backports=""
for package in $backports; do
  case "$(version_of "$package")" in
    "installed 3."*) ;;
    *) missing_backports="$missing_backports $package" ;;
  esac
done
[ -n "$missing$missing_backports" ] || exit 0

echo "installing:$missing$missing_backports"
as_root=""
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "that needs root or sudo" >&2; exit 1; }
  as_root="sudo"
fi
apt() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Acquire::Retries=3 "$@"
}

if [ -n "$missing_backports" ]; then
  mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([a-z]*:[^ ]*\).*/\2/p' \
    /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1)
  keys=/usr/share/keyrings/debian-archive-keyring.gpg
  echo "deb [signed-by=$keys] $mirror bookworm-backports main" |
    $as_root tee /etc/apt/sources.list.d/fallow-backports.list >/dev/null
fi
apt update
# Word by word: these are lists.
# shellcheck disable=SC2086
[ -z "$missing" ] || apt install --no-install-recommends $missing
# shellcheck disable=SC2086
[ -z "$missing_backports" ] ||
  apt install --no-install-recommends -t bookworm-backports $missing_backports
