// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_hold.c - every buffer that records are encoded in, as if taken: what
 * needs one drops its record with reason NESTED.
 */
#include <linux/compiler.h>

#include "osq_linux.h"
#include "osq_test_build.h"

static bool held;

/* osq_test_hold - take them all, or give them back. Context: any. */
void osq_test_hold(bool hold)
{
	WRITE_ONCE(held, hold);
}

bool osq_test_holds(void)
{
	return READ_ONCE(held);
}
