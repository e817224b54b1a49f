// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_hold.c - mark every buffer for encoding as taken, so that a publisher
 * that needs one drops its record with reason NESTED.
 */
#include <linux/compiler.h>

#include "osq_linux.h"
#include "osq_test_build.h"

static bool held;

/* osq_test_hold - take all buffers, or release them. Context: any. */
void osq_test_hold(bool hold)
{
	WRITE_ONCE(held, hold);
}

bool osq_test_holds(void)
{
	return READ_ONCE(held);
}
