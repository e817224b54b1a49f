#!/bin/sh
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
# Plant one fault at a time into a copy of the ring; the tests must fail on
# each. mutants.sh RING.c FOLDER, with CC, FLAGS and REST from the Makefile.
set -eu
ring=$1
out=$2
survivors=0

mutant() {
	name=$1
	edit=$2
	copy=$out/mutant-$name.c
	sed "$edit" "$ring" >"$copy"
	if cmp -s "$ring" "$copy"; then
		echo "mutant $name changes nothing: mend its pattern"
		exit 1
	fi
	# shellcheck disable=SC2086 # lists of words
	$CC $FLAGS -Wno-error -Wno-unused -o "$out/mutant-$name" test_ring.c "$copy" $REST \
		-lpthread 2>/dev/null
	if timeout 20 "$out/mutant-$name" >/dev/null 2>&1; then
		echo "mutant $name survives the tests"
		survivors=$((survivors + 1))
	fi
}

mutant full-off-by-one 's/- ring->read_pos) < len)/- ring->read_pos) + 8 < len)/'
mutant drop-not-counted '/dropped\[OSQ_DROP_FULL\]++/d'
mutant attempt-not-counted '0,/ring->attempts++;/s//;/'
mutant any-offset-accepted 's/known && boundary/known/'
mutant backward-offset-accepted 's/read_pos >= ring->read_pos &&/1 \&\&/'
mutant future-offset-accepted 's/read_pos <= ring->commit_pos;/1;/'
mutant open-record-shown 's/!bit_test(ring->open, bit_of(ring, ring->commit_pos))/1/'
mutant starts-not-cleared '/bit_clear(ring->starts/d'
mutant consumed-not-counted '/ring->consumed++;/d'
mutant published-before-copied 's/^\tosq_os_memcpy(slot.data.*/\tosq_ring_commit(ring, \&slot); &/'
mutant position-not-written '/record->pos = slot.pos;/d'

exit $((survivors != 0))
