#!/bin/sh
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
# mutants.sh - seed faults into the core, one at a time, and require that a
# test fails for each. A mutant that lives, or no longer applies, is an error.
# mutants.list has a line for each: name, file in kernel/core, sed script.
set -u
cd "$(dirname "$0")" || exit 2
: "${CC:=cc}" "${K:=../../kernel}" "${O:=build}"

# The last ones again: a fault that is a race may be missed by threads that are
# never preempted in the wrong place, on a machine with other things to do.
tests="test_ring test_sync test_model test_device test_subscribe test_filter test_watch test_threads"
tests="$tests test_exhaustive"
again="test_threads test_threads test_threads test_threads test_threads"
include="-I. -I$K/uapi -I$K/os/host -I$K/client"
number=0
failed=0

# Build one test against the mutated core and run it; true when it passes.
passes() {
	table=no_publishers.c sanitizer= under=
	case $1 in test_device | test_subscribe) table= ;; esac
	# A missing lock is seen for sure by TSan only.
	[ "$1" = test_threads ] && sanitizer=-fsanitize=thread under="setarch -R"
	# shellcheck disable=SC2086
	$CC -std=c11 -D_GNU_SOURCE -O1 -pthread -w -I"$core" $include \
		$sanitizer -o "$core/$1" "$1.c" $table "$core"/*.c \
		"$K/os/host/osq_host.c" >"$core/log" 2>&1 || return 2
	# shellcheck disable=SC2086
	timeout 20 $under "$core/$1" >>"$core/log" 2>&1
}

# The tests that are most likely to see a fault of a file: any that does will do.
likely() {
	case $1 in
	osq_watch.c) echo test_watch ;;
	osq_filter.c) echo test_filter ;;
	osq_device.c) echo test_subscribe test_device ;;
	esac
}

# Say which test catches the mutant in $core, or why none does.
verdict() {
	for test in $(likely "$file") $tests $again $again; do
		passes "$test"
		case $? in
		0) ;;
		2) echo "does not build"; return 1 ;;
		*) echo "caught by $test"; return 0 ;;
		esac
	done
	echo "lives"
	return 1
}

echo "KTAP version 1"
echo "1..$(grep -c '^[a-z]' mutants.list)"
while IFS='	' read -r name file script; do
	case $name in '' | '#'*) continue ;; esac
	number=$((number + 1))
	core=$O/mutants/$name
	rm -rf "$core"
	mkdir -p "$core"
	cp "$K"/core/*.[ch] "$core"
	sed -i "$script" "$core/$file"
	if cmp -s "$K/core/$file" "$core/$file"; then
		said="does not apply"
		result="not ok"
	elif said=$(verdict); then
		result=ok
	else
		result="not ok"
	fi
	[ "$result" = ok ] || failed=1
	echo "$result $number $name # $said"
done <mutants.list
[ "$failed" = 1 ] || echo "# $number mutants, each caught by a test"
exit $failed
