// SPDX-License-Identifier: GPL-2.0-only
/*
 * module_calls.c - the system calls that load modules: what they were given,
 * and which of them have failed.
 *
 * The notifiers of publish_module.c are called once a module is linked. What
 * the kernel refuses before (no right, a bad signature, missing symbols) only
 * the end of the call tells, so a kretprobe is at each of its functions. It
 * needs an instance from entry to return, and a module's init may take long; so
 * calls of those who may not load modules get none. They are told at once: that
 * they have no right is the first thing that the kernel checks, and they are
 * the ones who could use up all instances.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/sched/task_stack.h>
#include <linux/unistd.h>
#include <linux/user_namespace.h>

#include <asm/syscall.h>

#include "compat.h"
#include "osq_module_calls.h"
#include "osq_test_build.h"

/* As many processes may load modules at once, for each function. */
#define CALLS_MAX 256u

struct call_hook {
	const char *symbol;
	bool by_file;
	struct kretprobe ends; /* the instance's data: by_file */
};

static struct call_hook calls[] = {
	{ .symbol = OSQ_CALL("init_module") },
	{ .symbol = OSQ_CALL("finit_module"), .by_file = true },
#ifdef OSQ_CALL_32
	{ .symbol = OSQ_CALL_32("init_module") },
	{ .symbol = OSQ_CALL_32("finit_module"), .by_file = true },
#endif
};

/* Protected by device_mutex. */
static struct kretprobe *ends[ARRAY_SIZE(calls)];
static int end_count;
static osq_module_failed *told;

/* The kernel's own question, without what it writes down about the answer. */
static bool may_load_modules(void)
{
	const struct cred *cred = current_cred();

	return cred->user_ns == &init_user_ns &&
	       osq_cap_bits(cred->cap_effective) & BIT_ULL(CAP_SYS_MODULE);
}

static int on_call(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kretprobe *ends = osq_kretprobe_of(instance);
	bool by_file;

	/* From 5.11 until an architecture has rethook: it is being removed. */
	if (!ends)
		return 1;
	by_file = container_of(ends, const struct call_hook, ends)->by_file;
	if (!may_load_modules()) {
		told(by_file ? OSQ_MODULE_BY_FILE : OSQ_MODULE_BY_MEMORY,
		     EPERM);
		return 1;
	}
	*(bool *)instance->data = by_file;
	return 0;
}

static int on_return(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	bool by_file = *(bool *)instance->data;
	int result = regs_return_value(regs);

	if (result < 0)
		told(by_file ? OSQ_MODULE_BY_FILE : OSQ_MODULE_BY_MEMORY,
		     -result);
	return 0;
}

static int hook_end(struct call_hook *call)
{
	int err;

	call->ends = (struct kretprobe){
		.kp.symbol_name = call->symbol,
		.entry_handler = on_call,
		.handler = on_return,
		.maxactive = CALLS_MAX,
		.data_size = sizeof(bool),
	};
	err = osq_test_hides(call->symbol) ? -ENOENT
					   : register_kretprobe(&call->ends);
	if (!err)
		ends[end_count++] = &call->ends;
	return err;
}

/*
 * osq_module_calls_start - call @failed for each call that fails, from now on.
 * A function that this kernel does not have is left out.
 *
 * Context: may sleep; device_mutex is held.
 * Return: 0; -EOPNOTSUPP when it has none of them; other errors of the kernel.
 */
int osq_module_calls_start(osq_module_failed *failed)
{
	size_t at;
	int err = 0;

	end_count = 0;
	told = failed;
	if (!IS_ENABLED(CONFIG_KRETPROBES))
		return -EOPNOTSUPP;
	for (at = 0; at < ARRAY_SIZE(calls); at++) {
		err = hook_end(&calls[at]);
		if (err && err != -ENOENT)
			goto unhook;
	}
	if (!end_count)
		return -EOPNOTSUPP;
	err = osq_hook_check_start();
	if (!err)
		return 0;

unhook:
	unregister_kretprobes(ends, end_count);
	end_count = 0;
	return err;
}

/*
 * osq_module_calls_stop - return when @failed is not and will not be running.
 * A call that is in the middle returns as if it had never been hooked.
 *
 * Context: as start.
 */
void osq_module_calls_stop(void)
{
	if (!end_count)
		return;
	osq_hook_check_stop();
	unregister_kretprobes(ends, end_count);
	end_count = 0;
}

/* osq_module_calls_are_off - see is_off of struct osq_publisher. */
bool osq_module_calls_are_off(void)
{
	return end_count && osq_hook_check_is_off();
}

/* osq_module_calls_missed - see struct osq_publisher. */
u64 osq_module_calls_missed(void)
{
	u64 missed = 0;
	size_t at;

	for (at = 0; at < ARRAY_SIZE(calls); at++)
		missed += READ_ONCE(calls[at].ends.nmissed) +
			  READ_ONCE(calls[at].ends.kp.nmissed);
	return missed;
}

/*
 * osq_module_call_kind - the call in which this process is.
 *
 * A 32-bit program's calls have other numbers, of which none is one of these
 * for a call that loads a module. Context: a process.
 */
enum osq_module_call osq_module_call_kind(void)
{
	switch (syscall_get_nr(current, task_pt_regs(current))) {
	case __NR_finit_module:
		return OSQ_MODULE_BY_FILE;
	case __NR_init_module:
		return OSQ_MODULE_BY_MEMORY;
	default:
		return OSQ_MODULE_BY_UNKNOWN;
	}
}

/*
 * osq_module_call_args - what the call of this process was given: the file, or
 * NULL, which the caller puts with fput; and its parameters. It is what the
 * process's descriptor leads to now. Context: a process; nothing sleeps.
 */
struct file *osq_module_call_args(enum osq_module_call kind,
				  const char __user **args)
{
	unsigned long given[6];

	*args = NULL;
	if (kind == OSQ_MODULE_BY_UNKNOWN)
		return NULL;
	syscall_get_arguments(current, task_pt_regs(current), given);
	*args = (const char __user *)given[kind == OSQ_MODULE_BY_FILE ? 1 : 2];
	return kind == OSQ_MODULE_BY_FILE ? fget(given[0]) : NULL;
}
