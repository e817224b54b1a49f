/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osq_test.h - ioctls and the record that only the test build has.
 *
 * Any thread of the owner may call them, and many at once, to test just that.
 * PRODUCE needs a subscription to OSQ_TYPE_TEST.
 */
#ifndef OSQ_TEST_UAPI_H
#define OSQ_TEST_UAPI_H

#include "osq.h"

/* Where records are made. */
enum osq_test_context {
	OSQ_TEST_TASK = 0, /* the calling thread */
	OSQ_TEST_SOFTIRQ = 1, /* a timer's soft interrupt */
	OSQ_TEST_IRQ = 2, /* a timer's hard interrupt */
	OSQ_TEST_CONTEXTS = 3,
};

#define OSQ_TEST_BUCKETS 32

/* SUBSCRIBE's option: while it is on, no publisher can encode a record. */
#define OSQ_TEST_OPT_HOLD 1ull
/* SUBSCRIBE's option: the call takes this long, with its locks held. */
#define OSQ_TEST_OPT_SLOW 2ull
#define OSQ_TEST_SLOW_MS 5000u

struct osq_test_produce {
	__u32 producer; /* in: is stored in each record */
	__u32 context; /* in: enum osq_test_context */
	__u64 first; /* in: number of the first attempt */
	__u64 count; /* in: attempts to make */
	__u32 bytes; /* in: of each record, 80 up to OSQ_RECORD_MAX_BYTES */
	__u32 gap_us; /* in: between two of them, 0 for none */
	__u64 committed; /* out */
	__u64 refused; /* out: these are in the driver's drops, too */
	/* out: attempts that took [2^n, 2^n+1) nanoseconds, reserve to commit */
	__u64 took[OSQ_TEST_BUCKETS];
};

/* Bytes behind number are (producer + number) & 0xff. */
struct osq_test_record {
	struct osq_record head; /* tid and pid of the caller, 0 in interrupts */
	__u32 producer;
	__u32 context;
	__u64 number; /* of the attempt: first, first + 1, ... */
};

/* What CRASH does to the kernel. It may not come back. */
enum osq_test_crash_kind {
	OSQ_CRASH_NULL = 1, /* writes to address 0 */
	OSQ_CRASH_USE_AFTER_FREE = 2,
	OSQ_CRASH_BUG = 3,
	OSQ_CRASH_WARN = 4,
	OSQ_CRASH_DEADLOCK = 5, /* two threads, two mutexes */
	OSQ_CRASH_STACK_OVERFLOW = 6,
	OSQ_CRASH_SLEEP_IN_ATOMIC = 7,
	OSQ_CRASH_SOFT_LOCKUP = 8,
	OSQ_CRASH_HUNG_TASK = 9,
	OSQ_CRASH_LEAK = 10,
	OSQ_CRASH_OUT_OF_BOUNDS = 11,
	OSQ_CRASH_PANIC = 12,
	OSQ_CRASH_HARD_LOCKUP = 13,
	OSQ_CRASH_IN_IRQ = 14, /* writes to address 0 in an interrupt */
	OSQ_CRASH_GENERAL_PROTECTION = 15,
	OSQ_CRASH_DIVIDE = 16,
	OSQ_CRASH_STACK_SMASH = 17,
	OSQ_CRASH_LIST = 18,
	OSQ_CRASH_REFCOUNT = 19,
	OSQ_CRASH_DOUBLE_FREE = 20,
	OSQ_CRASH_EXECUTE_DATA = 21,
	OSQ_CRASH_WRITE_CONSTANT = 22,
	OSQ_CRASH_USERCOPY = 23,
	OSQ_CRASH_SPIN_TWICE = 24, /* one spin lock taken twice */
};

#define OSQ_IOC_TEST_PRODUCE _IOWR('q', 128, struct osq_test_produce)
#define OSQ_IOC_TEST_CRASH _IOW('q', 129, __u32)
/*
 * Make this many changes of credentials for which the publisher is not called.
 */
#define OSQ_IOC_TEST_MISS _IOW('q', 130, __u32)

OSQ_ASSERT_SIZE(osq_test_produce, 304);
OSQ_ASSERT_SIZE(osq_test_record, 80);

#endif
