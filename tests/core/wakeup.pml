// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * wakeup.pml - a model of os/linux/readers.c for spin: does a reader ever
 * stay asleep although there are records for which it should wake?
 *
 * The model has one reader, two writers, two irq_works and the delayed work.
 * Code under ring->lock is atomic here, everything else interleaves. With one
 * of the faults below defined, the answer must be yes: see wakeup.sh.
 *
 * WAKE_BEFORE_COMMIT	a writer looks for readers before its commit;
 *			a missing barrier in wq_has_sleeper has the same effect
 * LOOK_BEFORE_ENTER	a reader looks at the ring, then enters the queue
 * READER_DOES_NOT_ARM	a reader that is too early does not arm the timer
 * WRITER_DOES_NOT_ARM	the writer of the first record does not arm the timer
 * TIMER_SLEEPS_ON	the timer's work ends before it has woken a reader
 */
#define WATERMARK 2
#define WRITERS 2
#define EACH 2
#define EARLY 2 /* how often the timer may fire too early */

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

/* A timer for an older record may fire too early for the current ones. */
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
