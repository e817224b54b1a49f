// SPDX-License-Identifier: GPL-2.0-only
/*
 * probes.c - the kprobes of a publisher, which come and go together.
 *
 * The publishers' hooks are at the beginning of functions that the kernel calls
 * in the process that the record is about.
 */
#include <linux/kprobes.h>

#include "compat.h"
#include "osq_linux.h"
#include "osq_probes.h"
#include "osq_test_build.h"

/*
 * Values that a registration left in the structures would disturb the next one.
 */
static void prepare(struct osq_probe *probes, u32 count, u32 flags,
		    struct kprobe **list)
{
	u32 at;

	for (at = 0; at < count; at++) {
		probes[at].probe =
			(struct kprobe){ .symbol_name = probes[at].symbol,
					 .pre_handler = probes[at].handler,
					 .flags = flags };
		list[at] = &probes[at].probe;
	}
}

static bool are_hidden(const struct osq_probe *probes, u32 count)
{
	u32 at;

	for (at = 0; at < count; at++)
		if (osq_test_hides(probes[at].symbol))
			return true;
	return false;
}

/*
 * osq_probes_exist - does this kernel have all of the functions, and can they
 * be probed?
 *
 * It registers probes that are not armed, once, so no code is patched.
 * Context: may sleep; device_mutex is held.
 */
bool osq_probes_exist(struct osq_probe *probes, u32 count)
{
	struct kprobe *list[OSQ_PROBES_MAX];

	if (probes[0].all_found)
		return true;
	if (count > OSQ_PROBES_MAX || !osq_probes_have_arguments() ||
	    are_hidden(probes, count))
		return false;
	prepare(probes, count, KPROBE_FLAG_DISABLED, list);
	if (register_kprobes(list, count))
		return false;
	unregister_kprobes(list, count);
	probes[0].all_found = true;
	return true;
}

/*
 * osq_probes_start - set all of them; undone by osq_probes_stop.
 *
 * Context: may sleep; device_mutex is held.
 * Return: 0; -EOPNOTSUPP where they cannot be; the error of register_kprobes.
 */
int osq_probes_start(struct osq_probe *probes, u32 count)
{
	struct kprobe *list[OSQ_PROBES_MAX];
	int err;

	if (!osq_probes_exist(probes, count))
		return -EOPNOTSUPP;
	prepare(probes, count, 0, list);
	err = register_kprobes(list, count);
	if (err)
		return err;
	err = osq_hook_check_start();
	if (err)
		unregister_kprobes(list, count);
	return err;
}

/*
 * osq_probes_stop - return when no handler is or will be running.
 *
 * unregister_kprobes waits for RCU, and a handler runs with preemption off.
 * Context: as start.
 */
void osq_probes_stop(struct osq_probe *probes, u32 count)
{
	struct kprobe *list[OSQ_PROBES_MAX];
	u32 at;

	for (at = 0; at < count; at++)
		list[at] = &probes[at].probe;
	osq_hook_check_stop();
	unregister_kprobes(list, count);
}

/*
 * osq_probes_missed - see struct osq_publisher.
 *
 * The kernel skips a probe on a CPU that runs another probe's handler.
 */
u64 osq_probes_missed(const struct osq_probe *probes, u32 count)
{
	u64 missed = 0;
	u32 at;

	for (at = 0; at < count; at++)
		missed += READ_ONCE(probes[at].probe.nmissed);
	return missed;
}
