# Sourced: fetches Debian packages without touching the machine's own sources, lists and packages.
#
# Wants the folder $work. Then $debian_mirror and $debian_keys are what the machine's apt uses, and
# private_apt is apt-get with sources ($work/sources, to be written first), lists and cache of its
# own.

# shellcheck shell=sh disable=SC2034,SC2154

debian_mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([a-z]*:[^ ]*\).*/\2/p' \
  /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1)
debian_keys=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"

private_apt() {
  apt-get -qq -o Acquire::Retries=3 -o APT::Sandbox::User= -o Debug::NoLocking=1 \
    -o Dir::Etc::sourcelist="$work/sources" -o Dir::Etc::sourceparts=- \
    -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" "$@"
}
