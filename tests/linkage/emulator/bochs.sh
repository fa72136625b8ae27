#!/usr/bin/env bash
# Fetches Bochs 3, which knows tiles, with its libraries, and unpacks them into a folder of their own
# among the user's caches: nothing is installed. Debian before trixie has an older one; apt checks what it fetches.
set -euo pipefail
into="${XDG_CACHE_HOME:-$HOME/.cache}/cohortlink/bochs"
[ ! -e "$into/usr/bin/bochs-bin" ] || exit 0
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,archives/partial,parts,preferences}
keys=/usr/share/keyrings/debian-archive-keyring.gpg
# From where this machine has its own packages.
from="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/*$' | head -n 1)"
echo "deb [arch=amd64 signed-by=$keys] $from trixie main" > "$work/sources.list"
: > "$work/status"
options=(
  -qq -o APT::Architecture=amd64 -o APT::Architectures::=amd64 -o APT::Sandbox::User=
  -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts="$work/parts"
  -o Dir::Etc::preferencesparts="$work/preferences" -o Dir::State::lists="$work/lists"
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives"
  -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Acquire::Languages=none
)
apt-get "${options[@]}" update
apt-get "${options[@]}" install --yes --download-only --no-install-recommends bochs bochs-term
mkdir -p "$work/unpacked"
for package in "$work"/archives/*.deb; do dpkg-deb -x "$package" "$work/unpacked"; done
rm -rf "$into"
mkdir -p "$into/usr/bin" "$into/usr/lib" "$into/usr/share"
mv "$work/unpacked/usr/lib/x86_64-linux-gnu" "$into/usr/lib/"
mv "$work/unpacked/usr/share/bochs" "$into/usr/share/"
mv "$work/unpacked/usr/bin/bochs-bin" "$into/usr/bin/"  # last: this is what says that all is there
