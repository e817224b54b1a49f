#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# wakeup.sh - let spin visit every state of wakeup.pml: it must have no error,
# and with each of its faults it must have one, which shows that it can fail.
set -u
cd "$(dirname "$0")" || exit 2
: "${CC:=cc}" "${O:=build}"
faults="WAKE_BEFORE_COMMIT LOOK_BEFORE_ENTER READER_DOES_NOT_ARM"
faults="$faults WRITER_DOES_NOT_ARM TIMER_SLEEPS_ON"
failed=0
number=0

# Print how many errors spin finds with the given options.
errors() {
	rm -rf "$O/wakeup"
	mkdir -p "$O/wakeup"
	# shellcheck disable=SC2086
	spin $1 -o3 -a wakeup.pml >"$O/wakeup/log" 2>&1 && mv pan.* "$O/wakeup" &&
		$CC -O1 -w -DSAFETY -DNOREDUCE -o "$O/wakeup/pan" "$O/wakeup/pan.c" &&
		(cd "$O/wakeup" && ./pan -m100000 >pan.log 2>&1)
	sed -n 's/.*errors: \([0-9]*\)$/\1/p' "$O/wakeup/pan.log"
}

say() {
	number=$((number + 1))
	echo "$1 $number wakeup $2"
	[ "$1" = ok ] || failed=1
}

echo "KTAP version 1"
echo "1..$(($(echo "$faults" | wc -w) + 1))"
found=$(errors "")
states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' "$O/wakeup/pan.log")
if [ "$found" = 0 ]; then
	say ok "# no reader is left asleep in any of $states states"
else
	say "not ok" "# ${found:-no answer}: see $O/wakeup"
fi
for fault in $faults; do
	found=$(errors "-D$fault")
	if [ "${found:-0}" -gt 0 ] 2>/dev/null; then
		say ok "$fault # found out"
	else
		say "not ok" "$fault # lives"
	fi
done
exit $failed
