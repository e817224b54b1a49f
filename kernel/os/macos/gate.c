// SPDX-License-Identifier: GPL-2.0-only
/*
 * gate.c - callbacks that the system does not wait for when they are taken
 * out.
 *
 * kauth_unlisten_scope forgets the listener and returns, while a callback may
 * run or be about to; kern_authorization.c says so itself. So each callback
 * counts itself first and last, and takes the ring from the gate, not from a
 * variable of its own:
 *
 *	callback			close
 *	  inside++			  target = NULL
 *	  ring = target			  wait until inside == 0
 *	  ... use ring ...		  (the ring may go)
 *	  inside--
 *
 * Both sides are sequentially consistent: a callback that close did not see
 * inside sees that there is no target. The ring and its memory are safe by
 * this alone.
 *
 * The code is not: a callback may be before its count, or behind it, with
 * some instructions left to run. Nothing can tell. So the kext is not
 * unloaded for GRACE_NS after a gate was closed, and then only when nobody is
 * inside. That is a guess of how long a thread that is ready may have to wait,
 * and a generous one; kernel/README.md says so.
 */
#include <IOKit/IOLib.h>

#include "osq_macos.h"

#define GRACE_NS (3ull * 1000000000)
#define POLL_MS 5u

static u64 closed_ns; /* when a gate was closed last; 0: never */

/* osq_gate_init - nothing was ever closed. */
void osq_gate_init(void)
{
	__atomic_store_n(&closed_ns, 0, __ATOMIC_SEQ_CST);
}

/*
 * osq_gate_enter - the first thing a callback does; osq_gate_leave the last.
 *
 * Context: any thread.
 * Return: the ring, which stays until osq_gate_leave; NULL when closed.
 */
struct osq_ring *osq_gate_enter(struct osq_gate *gate)
{
	__atomic_add_fetch(&gate->inside, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&gate->target, __ATOMIC_SEQ_CST);
}

void osq_gate_leave(struct osq_gate *gate)
{
	__atomic_sub_fetch(&gate->inside, 1, __ATOMIC_SEQ_CST);
}

/* osq_gate_open - callbacks may use @ring from now on. */
void osq_gate_open(struct osq_gate *gate, struct osq_ring *ring)
{
	__atomic_store_n(&gate->target, ring, __ATOMIC_SEQ_CST);
}

/*
 * osq_gate_close - return when no callback uses the ring or will.
 *
 * Without a deadline: a callback ends when its file system answers, and to
 * go on earlier would be to free what it uses. Context: may sleep; no spin
 * lock is held, and no lock that a callback takes.
 */
void osq_gate_close(struct osq_gate *gate)
{
	__atomic_store_n(&gate->target, NULL, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&gate->inside, __ATOMIC_SEQ_CST))
		IOSleep(POLL_MS);
	__atomic_store_n(&closed_ns, osq_os_boot_ns(), __ATOMIC_SEQ_CST);
}

/* osq_gate_may_unload - may the code go that its callbacks run? */
bool osq_gate_may_unload(const struct osq_gate *gate)
{
	u64 last_ns = __atomic_load_n(&closed_ns, __ATOMIC_SEQ_CST);

	return !__atomic_load_n(&gate->target, __ATOMIC_SEQ_CST) &&
	       !__atomic_load_n(&gate->inside, __ATOMIC_SEQ_CST) &&
	       (!last_ns || osq_os_boot_ns() - last_ns >= GRACE_NS);
}
