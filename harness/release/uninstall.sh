#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# Unload and remove the kext that lies beside this script. Run as root on a Mac.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
folder=${DESTDIR:-}/Library/Extensions
say() { printf '%s\n' "uninstall: $*"; }
die() { printf '%s\n' "uninstall: $*" >&2; exit 1; }

set -- "$here"/*.kext
[ $# -eq 1 ] && [ -d "$1" ] || die "exactly one kext must lie beside this script"
target=$folder/$(basename "$1")
[ -d "$target" ] || die "$target does not exist"

if [ -z "${DESTDIR:-}" ]; then
	[ "$(id -u)" -eq 0 ] || die "run it as root: sudo $0"
	kextunload "$target" || say "it is still loaded, until the next restart"
fi
rm -rf "$target"
say "removed $target"
