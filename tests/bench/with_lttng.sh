#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# with_lttng.sh HOME FORM - run bench_ring FORM, which lies in HOME, beside daemons of LTTng's own.
#
# HOME is an empty folder of the user who runs this; the daemons keep all their files there. A user
# who is not root must run it: root's daemons have one fixed place on a machine. For each size of a
# ring there are two channels: one that overwrites, to measure the cost of a record, and one that is
# read and drops, for the load. Both have the memory of one ring, divided among the CPUs.
# The last line has the records that were read in all loads, and those that each channel dropped.
set -eu
home=$1
form=$2
export LTTNG_HOME="$home" HOME="$home" LTTNG_UST_REGISTER_TIMEOUT=10000

session() { lttng --no-sessiond "$@" >>"$home/log" 2>&1; }
end() {
	session destroy --all || :
	kill "$daemon"
	wait "$daemon" || :
}

# A ring has four parts, each a power of two of at least 16 KiB.
part_of() {
	part=16384
	while [ $((part * 2 * 4 * $(nproc --all))) -le "$1" ]; do part=$((part * 2)); done
	echo "$part"
}

lttng-sessiond --no-kernel >"$home/log" 2>&1 &
daemon=$!
trap end EXIT
tries=0
until session list; do
	tries=$((tries + 1))
	[ "$tries" -lt 100 ] || exit 1
	sleep 0.1
done
session create cost --snapshot --output="$home/snapshots"
session create load --output="$home/trace"
for mib in 1 16; do
	part=$(part_of $((mib * 1048576)))
	for kind in cost load; do
		mode=--discard
		[ "$kind" = load ] || mode=--overwrite
		session enable-channel --userspace --session="$kind" "$mode" \
			--subbuf-size="$part" --num-subbuf=4 "$kind$mib"
		session enable-event --userspace --session="$kind" --channel="$kind$mib" \
			"bench:${kind}_$mib"
	done
done
session start cost
session start load
"$home/bench_ring" "$form"
session stop load
dropped=$(lttng --no-sessiond list load |
	awk '/Discarded events:/ { printf "%s%s", comma, $3; comma = ", " }')
read_all=$(babeltrace2 --component=sink.utils.counter --params=step=+0 "$home/trace" |
	awk '/Event message/ { print $1 }')
echo "{\"kind\": \"lttng-load\", \"read\": $read_all, \"drops\": [$dropped]}"
