/* SPDX-License-Identifier: GPL-2.0-only */
/* osq_test_build.h - additions of the test build; empty in a release. */
#ifndef OSQ_TEST_BUILD_H
#define OSQ_TEST_BUILD_H

#include "osq_publisher.h"

#ifdef OSQ_TEST_BUILD
#include "osq_test.h"

/*
 * Was the module's parameter given? Returns 0, or -EPERM after a line in the
 * log.
 */
int osq_test_allowed(void);
/* Is @command an ioctl of the test build? */
bool osq_test_knows(unsigned int command);
/* Run it. Context: process, may sleep; no mutex is held. */
long osq_test_ioctl(unsigned int command, void __user *user);
/* Must publishers be told that the kernel has no hook of this name? */
bool osq_test_hides(const char *hook);

/* test_produce.c; start and stop as struct osq_publisher says. */
long osq_test_produce(struct osq_test_produce *order);
int osq_test_start(struct osq_ring *ring, u64 options);
void osq_test_configure(u64 options);
void osq_test_stop(void);

/* test_hold.c */
void osq_test_hold(bool hold);
bool osq_test_holds(void);

/* test_miss.c */
long osq_test_miss(u32 count);
#else
static inline int osq_test_allowed(void)
{
	return 0;
}

static inline bool osq_test_knows(unsigned int command)
{
	return false;
}

static inline long osq_test_ioctl(unsigned int command, void __user *user)
{
	return -ENOTTY;
}

static inline bool osq_test_hides(const char *hook)
{
	return false;
}

static inline bool osq_test_holds(void)
{
	return false;
}
#endif

#endif
