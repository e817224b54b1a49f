#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# mutants.sh - seed faults into the core, one at a time, and require that a
# test fails for each. A mutant that lives, or no longer applies, is an error.
# mutants.list has a line for each: name, file in kernel/core, sed script.
# The Makefile has compiled the correct core and the tests, by flavour, into
# $O/FLAVOUR/obj; a mutant compiles the one file that its fault is in.
set -u
cd "$(dirname "$0")" || exit 2
: "${CC:=cc}" "${K:=../../kernel}" "${O:=build}"
export CC K O

# The last ones run again: threads may miss a fault that is a race, if they are
# never preempted in the wrong place, on a machine with other things to do.
tests="test_ring test_kept test_held test_sync test_model test_device test_subscribe test_filter test_watch test_threads"
tests="$tests test_exhaustive"
again="test_threads test_threads test_threads test_threads test_threads"
tab=$(printf '\t')

# Compile the faulty file; a faulty header means to compile everything.
compile() {
	case $file in
	*.c) sources=$at/$file ;;
	*) cp -n "$K"/core/*.[ch] "$at"; sources=$(echo "$at"/*.c) ;;
	esac
	for source in $sources ${1:+"$1.c"}; do
		# shellcheck disable=SC2086
		$CC -std=c11 -D_GNU_SOURCE -O1 -pthread -w -I"$at" -I. -I"$K/uapi" -I"$K/core" \
			-I"$K/os/host" -I"$K/client" $sanitizer -c -o "$at/$flavour/$(basename "$source" .c).o" \
			"$source" || return 1
	done
}

# Build one test against the mutated core and run it; true when it passes.
passes() {
	flavour=plain sanitizer= under=
	# A missing lock is seen for sure by TSan only.
	[ "$1" = test_threads ] && flavour=tsan sanitizer=-fsanitize=thread under="setarch -R"
	if [ ! -d "$at/$flavour" ]; then
		mkdir "$at/$flavour"
		case $file in
		*.c) compile >"$at/log" 2>&1 || return 2 ;;
		esac
	fi
	case $file in
	*.h) compile "$1" >"$at/log" 2>&1 || return 2 ;;
	esac
	objects=
	table=no_publishers.c
	case $1 in test_device | test_subscribe) table= ;; esac
	for source in "$K"/core/*.c osq_host.c "$1.c" $table; do
		one=$(basename "$source" .c).o
		changed=$at/$flavour/$one
		[ -e "$changed" ] || changed=$O/$flavour/obj/$one
		objects="$objects $changed"
	done
	# shellcheck disable=SC2086
	$CC -pthread $sanitizer -o "$at/$1" $objects >"$at/log" 2>&1 || return 2
	# shellcheck disable=SC2086
	timeout 20 $under "$at/$1" >>"$at/log" 2>&1
}

# The tests that are most likely to fail for a fault of a file; one is enough.
likely() {
	case $1 in
	osq_watch.c) echo test_watch ;;
	osq_filter.c) echo test_filter ;;
	osq_device.c) echo test_subscribe test_device ;;
	esac
}

# Print which test fails for the mutant, or why none does.
verdict() {
	for test in $(likely "$file") $tests $again; do
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

# Run one mutant, given by its name; write $O/mutants/NAME/result.
one_mutant() {
	at=$O/mutants/$1
	rm -rf "$at"
	mkdir -p "$at"
	line=$(grep "^$1$tab" mutants.list)
	file=$(printf '%s' "$line" | cut -f 2)
	sed "$(printf '%s' "$line" | cut -f 3-)" "$K/core/$file" >"$at/$file"
	if cmp -s "$K/core/$file" "$at/$file"; then
		said="does not apply"
		result="not ok"
	elif said=$(verdict); then
		result=ok
	else
		result="not ok"
	fi
	echo "$result $1 # $said" >"$at/result"
}

if [ $# -gt 0 ]; then
	one_mutant "$1"
	exit
fi
names=$(grep '^[a-z]' mutants.list | cut -f 1)
for name in $names; do rm -rf "${O:?}/mutants/$name"; done
printf '%s\n' "$names" | xargs -P "$(nproc)" -n 1 ./mutants.sh
echo "KTAP version 1"
echo "1..$(printf '%s\n' "$names" | wc -l)"
number=0
failed=0
for name in $names; do
	number=$((number + 1))
	said=$(cat "$O/mutants/$name/result" 2>/dev/null) || said="not ok $name # no result"
	case $said in ok*) ;; *) failed=1 ;; esac
	printf '%s\n' "$said" | sed "s/$name/$number &/"
done
[ "$failed" = 1 ] || echo "# $number mutants, each caught by a test"
exit $failed
