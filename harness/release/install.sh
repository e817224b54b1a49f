#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# Install the kext that lies beside this script, and load it. Run as root on a Mac.
# With DESTDIR the files are only copied below it, as the build of a package needs it.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
folder=${DESTDIR:-}/Library/Extensions
say() { printf '%s\n' "install: $*"; }
die() { printf '%s\n' "install: $*" >&2; exit 1; }

set -- "$here"/*.kext
[ $# -eq 1 ] && [ -d "$1" ] || die "exactly one kext must lie beside this script"
kext=$1
target=$folder/$(basename "$kext")

if [ -z "${DESTDIR:-}" ]; then
	[ "$(uname -s)" = Darwin ] || die "this is not a Mac"
	[ "$(id -u)" -eq 0 ] || die "run it as root: sudo $0"
fi
mkdir -p "$folder"
rm -rf "$target"
cp -R "$kext" "$target"
chmod -R u=rwX,go=rX "$target"
if [ -n "${DESTDIR:-}" ]; then
	say "staged in $target"
	exit 0
fi
chown -R root:wheel "$target"
say "installed $target"
major=$(sw_vers -productVersion | cut -d. -f1)
if [ "$major" -ge 11 ]; then
	kmutil load -p "$target" || die "kmutil did not load it: approve it in System Settings, \
Privacy & Security, and restart; then it is loaded"
	say "the kext is loaded at every start, from the next restart on"
else
	kextload "$target" || die "kextload did not load it; from 10.13 on approve it in System \
Preferences, Security & Privacy, then run this again"
	say "loaded"
fi
