// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * wakeup.pml - os/linux/readers.c as a model for spin: is a reader ever left
 * asleep with records that it should have been told of?
 *
 * One reader, two writers, the two irq_works and the delayed work. What is
 * under ring->lock is atomic here, everything else interleaves. With one of
 * the faults below defined, the answer must be yes: see wakeup.sh.
 *
 * WAKE_BEFORE_COMMIT	a writer looks for readers before its record is there;
 *			a missing barrier in wq_has_sleeper comes to the same
 * LOOK_BEFORE_ENTER	a reader looks at the ring, then enters the queue
 * READER_DOES_NOT_ARM	a reader that is too early does not see to the timer
 * WRITER_DOES_NOT_ARM	nor does the writer of the first record
 * TIMER_SLEEPS_ON	the timer's work is done before it has woken anybody
 */
#define WATERMARK 2
#define WRITERS 2
#define EACH 2
#define EARLY 2 /* how often the timer may come before the time is over */

byte unread, consumed, early;
bool old; /* the oldest unread record has waited for its latency */
bool in_queue, awake;
bool wake_work, arm_work, late_work; /* queued, queued, pending */

inline wake() {
	if
	:: in_queue -> awake = true
	:: else
	fi
}

inline look_for_readers() {
	if
	:: in_queue ->
		if
		:: atomic { unread >= WATERMARK || (unread && old) ->
			wake_work = true }
#ifndef WRITER_DOES_NOT_ARM
		:: atomic { unread && unread < WATERMARK && !old ->
			if
			:: late_work
			:: else -> arm_work = true
			fi }
#else
		:: unread && unread < WATERMARK && !old
#endif
		:: unread == 0
		fi
	:: else
	fi
}

active [WRITERS] proctype writer() {
	byte left = EACH;

	do
	:: left ->
#ifdef WAKE_BEFORE_COMMIT
		look_for_readers();
		atomic { unread++; left-- }
#else
		atomic { unread++; left-- }
		look_for_readers()
#endif
	:: else -> break
	od
}

active proctype wake_irq_work() {
end:	do
	:: wake_work ->
		wake_work = false;
		wake()
	od
}

active proctype arm_irq_work() {
end:	do
	:: arm_work ->
		arm_work = false;
		late_work = true
	od
}

/* Armed for an older record, it may come too early for what is there now. */
active proctype timer() {
end:	do
	:: late_work ->
		late_work = false;
		if
		:: unread -> old = true
		:: early < EARLY -> early++
		:: unread == 0
		fi;
#ifndef TIMER_SLEEPS_ON
		wake()
#endif
	od
}

active proctype reader() {
	bool ready, later;

	do
	:: consumed == WRITERS * EACH -> break
	:: else ->
#ifndef LOOK_BEFORE_ENTER
		in_queue = true;
#endif
again:
		awake = false;
		atomic {
			ready = unread >= WATERMARK || (unread && old);
			later = unread && !ready
		}
#ifdef LOOK_BEFORE_ENTER
		in_queue = true;
#endif
#ifndef READER_DOES_NOT_ARM
		if
		:: later -> late_work = true
		:: else
		fi;
#endif
		if
		:: ready
		:: !ready && awake -> goto again
		:: !ready && !awake ->
			awake;
			goto again
		fi;
		in_queue = false;
		atomic {
			consumed = consumed + unread;
			unread = 0;
			old = false
		}
	od
}
