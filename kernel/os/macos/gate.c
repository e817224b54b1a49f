// SPDX-License-Identifier: GPL-2.0-only
/*
 * gate.c - protects from callbacks for which the system does not wait when
 * they are unregistered.
 *
 * kauth_unlisten_scope forgets the listener and returns, while a callback may
 * run or be about to, as kern_authorization.c states. So each callback
 * counts itself first and last, and takes the ring from the gate, not from a
 * variable of its own:
 *
 *	callback			close
 *	  inside++			  target = NULL
 *	  ring = target			  wait until inside == 0
 *	  ... use ring ...		  (the ring may be freed)
 *	  inside--
 *
 * Both sides are sequentially consistent: a callback that close did not see
 * inside sees that there is no target. The ring and its memory are safe by
 * this alone.
 *
 * The code is not: a callback may be before or after its count, with some
 * instructions left to run, which nothing can detect. So the kext is not
 * unloaded for GRACE_NS after a gate was closed, and then only when nobody is
 * inside. GRACE_NS is a generous guess of how long a ready thread may have to
 * wait; see kernel/README.md.
 */
#include <IOKit/IOLib.h>

#include "osq_macos.h"

#define GRACE_NS (3ull * 1000000000)
#define POLL_MS 5u

static u64 closed_ns; /* when a gate was closed last; 0: never */

/* osq_gate_init - begin with no gate closed. */
void osq_gate_init(void)
{
	__atomic_store_n(&closed_ns, 0, __ATOMIC_SEQ_CST);
}

/*
 * osq_gate_enter - begin a callback; osq_gate_leave ends it.
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
 * osq_gate_close - return when no callback uses the ring, nor will use it.
 *
 * There is no deadline: a callback ends when its file system answers, and
 * returning earlier would free what it uses. Context: may sleep; no spin
 * lock is held, and no lock that a callback takes.
 */
void osq_gate_close(struct osq_gate *gate)
{
	__atomic_store_n(&gate->target, NULL, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&gate->inside, __ATOMIC_SEQ_CST))
		IOSleep(POLL_MS);
	__atomic_store_n(&closed_ns, osq_os_boot_ns(), __ATOMIC_SEQ_CST);
}

/* osq_gate_may_unload - may the code of the callbacks be unloaded? */
bool osq_gate_may_unload(const struct osq_gate *gate)
{
	u64 last_ns = __atomic_load_n(&closed_ns, __ATOMIC_SEQ_CST);

	return !__atomic_load_n(&gate->target, __ATOMIC_SEQ_CST) &&
	       !__atomic_load_n(&gate->inside, __ATOMIC_SEQ_CST) &&
	       (!last_ns || osq_os_boot_ns() - last_ns >= GRACE_NS);
}
