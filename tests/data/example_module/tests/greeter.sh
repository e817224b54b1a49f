#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# What a kernel selftest looks like: KTAP on stdout, nothing else needed.
echo "KTAP version 1"
echo "1..2"
if grep -q '^greeter ' /proc/modules; then
	echo "ok 1 module_is_listed"
else
	echo "# /proc/modules does not name greeter"
	echo "not ok 1 module_is_listed"
fi
if [ "$(stat -c %a /dev/greeter)" = 600 ]; then
	echo "ok 2 device_is_private"
else
	echo "not ok 2 device_is_private"
fi
