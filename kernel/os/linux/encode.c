// SPDX-License-Identifier: GPL-2.0-only
/* encode.c - records with strings: where they are encoded, and how. */
#include <linux/audit.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include <asm/syscall.h>

#include "compat.h"
#include "osq_encode.h"

/* osq_caller_fill - fill in the facts about this process. Context: any. */
void osq_caller_fill(struct osq_caller *caller)
{
	struct user_namespace *ns = &init_user_ns;
	bool calls = !(current->flags & (PF_KTHREAD | PF_IO_WORKER));

	caller->syscall = calls ? syscall_get_nr(current, task_pt_regs(current))
				: ~0u;
	caller->uid = from_kuid(ns, current_uid());
	caller->euid = from_kuid(ns, current_euid());
	caller->auid = from_kuid(ns, audit_get_loginuid(current));
	caller->session = audit_get_sessionid(current);
}

/*
 * osq_target_fill - fill in the facts about another process, except for its
 * program. Context: @task cannot go away meanwhile.
 */
void osq_target_fill(struct osq_target *target, const struct task_struct *task)
{
	const struct cred *cred;

	*target = (struct osq_target){ .pid = task->tgid, .tid = task->pid };
	rcu_read_lock();
	target->start_boot_ns = READ_ONCE(task->group_leader)->start_boottime;
	cred = __task_cred(task);
	target->uid = from_kuid(&init_user_ns, cred->uid);
	target->euid = from_kuid(&init_user_ns, cred->euid);
	rcu_read_unlock();
}

/*
 * osq_append - add @len bytes to the record, for the caller to fill in. The
 * caller has checked the room. Return: where they are.
 */
void *osq_append(struct osq_record *head, struct osq_span *span, u32 len)
{
	span->off = head->len;
	span->len = len;
	head->len += len;
	return (u8 *)head + span->off;
}

/* osq_append_text - add up to @most bytes of @text; NULL adds none. */
void osq_append_text(struct osq_record *head, struct osq_span *span,
		     const char *text, u32 most)
{
	u32 len = text ? strnlen(text, most) : 0;

	memcpy(osq_append(head, span, len), text ?: "", len);
}

/*
 * osq_append_path - add a path, as the caller's own root shows it.
 * @buffer: OSQ_PATH_BUFFER_BYTES; NULL where no path can be had.
 *
 * Return: false when it is unknown, or too long: then nothing is added.
 */
bool osq_append_path(struct osq_record *head, struct osq_span *span,
		     const struct path *what, char *buffer)
{
	char *path = buffer ? d_path(what, buffer, OSQ_PATH_BUFFER_BYTES)
			    : ERR_PTR(-ENOMEM);

	if (IS_ERR(path)) {
		osq_append(head, span, 0);
		return false;
	}
	osq_append_text(head, span, path, OSQ_PATH_BUFFER_BYTES);
	return true;
}

/*
 * osq_append_user_text - add a string of the calling process, as far as it is
 * in memory, without its NUL. The record has room for @most bytes.
 *
 * Return: 0; OSQ_FLAG_TRUNC_ARGV when it has @most bytes or more;
 * OSQ_FLAG_PARTIAL_ARGV when a page of it was not in memory.
 */
u16 osq_append_user_text(struct osq_record *head, struct osq_span *span,
			 const char __user *text, u32 most)
{
	char *to = osq_append(head, span, 0);
	u16 flag = OSQ_FLAG_TRUNC_ARGV;

	while (span->len < most) {
		const char __user *from = text + span->len;
		u32 step = min_t(u32, most - span->len,
				 PAGE_SIZE - offset_in_page(from));
		u32 len;

		if (copy_from_user_nofault(to + span->len, from, step)) {
			flag = OSQ_FLAG_PARTIAL_ARGV;
			break;
		}
		len = strnlen(to + span->len, step);
		span->len += len;
		if (len < step) {
			flag = 0;
			break;
		}
	}
	head->len += span->len;
	return flag;
}

/*
 * osq_encode_and_publish - have a record encoded in a buffer of this CPU, and
 * publish it.
 *
 * Context: any but NMI and the handler of a kprobe; nothing sleeps, but see
 * osq_encode_begin.
 */
void osq_encode_and_publish(struct osq_ring *ring, u32 type,
			    osq_encoder *encode, const void *facts,
			    enum osq_rank rank)
{
	struct osq_scratch *scratch;
	bool traded = osq_encode_begin();

	scratch = osq_scratch_get();
	if (!scratch) {
		osq_publish_nothing(ring, type, OSQ_DROP_NESTED);
	} else {
		encode(&scratch->head, scratch->path, facts);
		osq_publish(ring, &scratch->head, rank);
		osq_scratch_put(scratch);
	}
	osq_encode_end(traded);
}

/*
 * osq_encode_in_probe - the same in the handler of a kprobe or kretprobe.
 *
 * There preemption has to stay off, because the kernel has noted on this CPU
 * that the handler runs. With PREEMPT_RT the locks of paths and of the buffers
 * sleep: so the record is encoded on the stack, and without paths.
 */
void osq_encode_in_probe(struct osq_ring *ring, u32 type, osq_encoder *encode,
			 const void *facts, enum osq_rank rank)
{
#ifdef CONFIG_PREEMPT_RT
	union {
		struct osq_record head;
		u8 bytes[OSQ_PROBE_RECORD_MAX_BYTES];
	} record;

	encode(&record.head, NULL, facts);
	osq_publish(ring, &record.head, rank);
#else
	osq_encode_and_publish(ring, type, encode, facts, rank);
#endif
}
