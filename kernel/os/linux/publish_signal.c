// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_signal.c - a record for each signal that a process sends to another
 * one, from a probe on the hook of security modules for that.
 *
 * The kernel asks security_task_kill for each target of a signal that a process
 * sends, by whatever call, once its ids permit it. It does not ask about its
 * own signals (SIGCHLD, SIGPIPE, timers). It is an RCU reader meanwhile, so the
 * target cannot go away.
 */
#include <linux/kprobes.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#include "compat.h"
#include "osq_encode.h"
#include "osq_probes.h"

static struct osq_ring *target_ring;

static int on_kill(struct kprobe *probe, struct pt_regs *regs)
{
	struct task_struct *target = (void *)osq_argument(regs, 0);
	u32 signal = osq_argument(regs, 2);
	struct osq_signal record;

	/*
	 * Signal 0 only asks whether the process is there. With credentials, a
	 * driver sends it for a process that is another than the caller.
	 */
	if (!signal || target->tgid == current->tgid || !in_task() ||
	    osq_argument(regs, 3) ||
	    !osq_filter_pass_task(target_ring, OSQ_TYPE_SIGNAL, current))
		return 0;
	osq_head_fill(&record.head, sizeof(record), OSQ_TYPE_SIGNAL,
		      &record.actor);
	osq_caller_fill(&record.caller);
	osq_target_fill(&record.target, target);
	osq_program_of_other(target, &record.target.dev, &record.target.ino);
	record.signal = signal;
	osq_publish(target_ring, &record.head, osq_rank_of_caller());
	return 0;
}

static struct osq_probe probes[] = {
	{ .symbol = "security_task_kill", .handler = on_kill },
};

/* osq_publish_signal_probe - see struct osq_publisher. */
bool osq_publish_signal_probe(void)
{
	return IS_ENABLED(CONFIG_SECURITY) &&
	       osq_probes_exist(probes, ARRAY_SIZE(probes));
}

/* osq_publish_signal_start - see struct osq_publisher and osq_probes_start. */
int osq_publish_signal_start(struct osq_ring *ring, u64 options)
{
	if (!osq_publish_signal_probe())
		return -EOPNOTSUPP;
	target_ring = ring;
	return osq_probes_start(probes, ARRAY_SIZE(probes));
}

/* osq_publish_signal_stop - see struct osq_publisher. */
void osq_publish_signal_stop(void)
{
	osq_probes_stop(probes, ARRAY_SIZE(probes));
}

/* osq_publish_signal_missed - see struct osq_publisher. */
u64 osq_publish_signal_missed(void)
{
	return osq_probes_missed(probes, ARRAY_SIZE(probes));
}
