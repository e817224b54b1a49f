// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_miss.c - changes of credentials that the publisher's probe is passed
 * over for: a probe's handler makes them, and probes do not nest.
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

/* The same ids again: nothing of commit_creds sleeps for that. */
static int on_probed(struct kprobe *probe, struct pt_regs *regs)
{
	commit_creds(next);
	return 0;
}

/*
 * osq_test_miss - have commit_creds called @count times within a probe.
 *
 * Return: 0; -ENOMEM, or what register_kprobe says.
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
