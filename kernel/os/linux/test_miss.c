// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_miss.c - changes of credentials for which the publisher's probe is
 * skipped: a probe's handler makes them, and probes do not nest.
 */
#include <linux/cred.h>
#include <linux/kprobes.h>
#include <linux/mutex.h>

#include "osq_test_build.h"

static DEFINE_MUTEX(one_at_a_time); /* protects next */
static struct cred *next;

void osq_test_probed(void);

/* Not static, so that it is one function at one address; see the asm. */
noinline void osq_test_probed(void)
{
	asm volatile("" ::: "memory");
}

/* The ids do not change, so nothing in commit_creds sleeps. */
static int on_probed(struct kprobe *probe, struct pt_regs *regs)
{
	commit_creds(next);
	return 0;
}

/*
 * osq_test_miss - call commit_creds @count times within a probe.
 *
 * Return: 0; -ENOMEM, or the error of register_kprobe.
 */
long osq_test_miss(u32 count)
{
	struct kprobe probe = {
		.addr = (kprobe_opcode_t *)osq_test_probed,
		.pre_handler = on_probed,
	};
	long err;

	mutex_lock(&one_at_a_time);
	err = register_kprobe(&probe);
	if (err)
		goto out;
	while (count-- && !err) {
		next = prepare_creds();
		if (next)
			osq_test_probed();
		else
			err = -ENOMEM;
	}
	unregister_kprobe(&probe);
out:
	mutex_unlock(&one_at_a_time);
	return err;
}
