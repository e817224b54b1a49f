// SPDX-License-Identifier: GPL-2.0-only
/*
 * scratch.c - buffers in which records are encoded, before the ring.
 *
 * Callbacks are threads that may sleep, so any number of them may encode at
 * once. There is a fixed number of buffers, each taken by an
 * atomic bit; when all are taken, the record is dropped as NESTED.
 */
#include <IOKit/IOLib.h>

#include "osq_macos.h"

#define BUFFERS 16u

static struct osq_scratch *buffers; /* BUFFERS of them */
static u32 taken; /* bit n: buffer n; atomic */
static int users; /* protected by osq_device_mutex */

/* osq_scratch_init - begin without buffers. */
void osq_scratch_init(void)
{
	buffers = NULL;
	taken = 0;
	users = 0;
}

/*
 * osq_scratch_open - allocate buffers; undone by osq_scratch_close.
 *
 * Context: may sleep; osq_device_mutex is held.
 * Return: 0 or -ENOMEM.
 */
int osq_scratch_open(void)
{
	if (users++)
		return 0;
	buffers = IOMalloc(BUFFERS * sizeof(*buffers));
	if (buffers)
		return 0;
	users--;
	return -ENOMEM;
}

/* osq_scratch_close - free the buffers; no encoder of the caller runs. */
void osq_scratch_close(void)
{
	if (--users)
		return;
	IOFree(buffers, BUFFERS * sizeof(*buffers));
	buffers = NULL;
}

/* osq_scratch_get - return a buffer, or NULL. Context: any thread. */
struct osq_scratch *osq_scratch_get(void)
{
	u32 bit;

	for (bit = 0; bit < BUFFERS; bit++)
		if (!(__atomic_fetch_or(&taken, 1u << bit, __ATOMIC_ACQUIRE) &
		      1u << bit))
			return &buffers[bit];
	return NULL;
}

/* osq_scratch_put - return the buffer. */
void osq_scratch_put(struct osq_scratch *scratch)
{
	u32 bit = (u32)(scratch - buffers);

	__atomic_fetch_and(&taken, ~(1u << bit), __ATOMIC_RELEASE);
}
