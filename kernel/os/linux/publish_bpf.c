// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_bpf.c - a record for each BPF program that is loaded, opened or
 * attached by bpf(2), from probes on the hooks of security modules there.
 *
 * The kernel asks security_bpf_prog before it hands out a descriptor of a
 * program: once the verifier has passed a new one and it has its number, and
 * each time that somebody opens one by its number or by its file. It asks
 * security_bpf at the beginning of each call, with the arguments in its own
 * memory. Both are called in the process, and nothing is locked.
 */
#include <linux/bpf.h>
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/string.h>

#include <asm/syscall.h>

#include "compat.h"
#include "osq_encode.h"
#include "osq_probes.h"

/* Names of functions and tracepoints, which programs are attached to. */
#define TARGET_MAX_BYTES 256u

static_assert(sizeof(struct osq_bpf) + BPF_OBJ_NAME_LEN + TARGET_MAX_BYTES <=
	      OSQ_PROBE_RECORD_MAX_BYTES);
static_assert(sizeof_field(struct osq_bpf, tag) == BPF_TAG_SIZE);

static struct osq_ring *target;
static u64 chosen; /* OSQ_BPF_OPT; 0: all */

/* What a record tells of. */
struct facts {
	u32 action;
	u32 command;
	u32 attach_type;
	u32 target_fd;
	const char __user *tracepoint; /* NULL: attached to something else */
	const struct bpf_prog *program; /* NULL: unknown */
};

static void put_program(struct osq_bpf *record, const struct bpf_prog *program)
{
	record->prog_id = program->aux->id;
	record->prog_type = program->type;
	record->insns = program->len;
	memcpy(record->tag, program->tag, sizeof(record->tag));
	osq_append_text(&record->head, &record->name, program->aux->name,
			BPF_OBJ_NAME_LEN);
}

static void encode(struct osq_record *head, char *buffer, const void *data)
{
	struct osq_bpf *record = (struct osq_bpf *)head;
	const struct facts *facts = data;

	osq_head_fill(head, sizeof(*record), OSQ_TYPE_BPF, &record->actor);
	osq_caller_fill(&record->caller);
	record->action = facts->action;
	record->command = facts->command;
	record->attach_type = facts->attach_type;
	record->target_fd = facts->target_fd;
	osq_append(head, &record->name, 0);
	if (facts->program)
		put_program(record, facts->program);
	if (facts->tracepoint)
		head->flags |= osq_append_user_text(head, &record->target,
						    facts->tracepoint,
						    TARGET_MAX_BYTES);
	else
		osq_append_text(head, &record->target,
				facts->program
					? facts->program->aux->attach_func_name
					: NULL,
				TARGET_MAX_BYTES);
}

static void publish(const struct facts *facts)
{
	u64 asked = READ_ONCE(chosen);

	if ((!asked || asked & OSQ_BPF_OPT(facts->action)) &&
	    osq_filter_pass_task(target, OSQ_TYPE_BPF, current))
		osq_encode_in_probe(target, OSQ_TYPE_BPF, encode, facts,
				    osq_rank_of_caller());
}

/*
 * Only bpf(2) leads a process to security_bpf_prog, so this is its command,
 * whatever number the call has for this program. Threads of the kernel have no
 * call.
 */
static u32 command_of_call(void)
{
	unsigned long given[6];

	if (current->flags & PF_KTHREAD)
		return ~0u;
	syscall_get_arguments(current, task_pt_regs(current), given);
	return given[0];
}

static int on_program(struct kprobe *probe, struct pt_regs *regs)
{
	const struct bpf_prog *program = (void *)osq_argument(regs, 0);
	u32 command = command_of_call();

	publish(&(struct facts){ .action = command == BPF_PROG_LOAD
						   ? OSQ_BPF_LOAD
						   : OSQ_BPF_OPEN,
				 .command = command,
				 .attach_type = program->expected_attach_type,
				 .program = program });
	return 0;
}

/*
 * A program's descriptor is known by its name in the file system of nameless
 * files, where only the kernel gives names.
 */
static const struct bpf_prog *program_in(const struct file *file)
{
	const struct dentry *dentry = file ? file->f_path.dentry : NULL;

	if (!dentry || dentry->d_sb->s_magic != ANON_INODE_FS_MAGIC ||
	    strcmp(dentry->d_name.name, "bpf-prog"))
		return NULL;
	return file->private_data;
}

/* Which program an attaching call names. Return: false for other calls. */
static bool is_attaching(const union bpf_attr *attr, struct facts *facts,
			 u32 *program_fd)
{
	switch (facts->command) {
	case BPF_PROG_ATTACH:
		*program_fd = attr->attach_bpf_fd;
		facts->attach_type = attr->attach_type;
		facts->target_fd = attr->target_fd;
		return true;
	case BPF_LINK_CREATE:
		*program_fd = attr->link_create.prog_fd;
		facts->attach_type = attr->link_create.attach_type;
		facts->target_fd = attr->link_create.target_fd;
		return true;
	case BPF_LINK_UPDATE:
		*program_fd = attr->link_update.new_prog_fd;
		facts->target_fd = attr->link_update.link_fd;
		return true;
	case BPF_RAW_TRACEPOINT_OPEN:
		*program_fd = attr->raw_tracepoint.prog_fd;
		facts->tracepoint = (const char __user *)(unsigned long)
					    attr->raw_tracepoint.name;
		return true;
	default:
		return false;
	}
}

static int on_call(struct kprobe *probe, struct pt_regs *regs)
{
	const union bpf_attr *attr = (void *)osq_argument(regs, 1);
	struct facts facts = { .action = OSQ_BPF_ATTACH,
			       .command = osq_argument(regs, 0) };
	struct file *file;
	u32 program_fd;

	if (!is_attaching(attr, &facts, &program_fd))
		return 0;
	/* It stays a program's as long as the file is held. */
	file = fget(program_fd);
	facts.program = program_in(file);
	publish(&facts);
	if (file)
		fput(file);
	return 0;
}

static struct osq_probe probes[] = {
	{ .symbol = "security_bpf", .handler = on_call },
	{ .symbol = "security_bpf_prog", .handler = on_program },
};

/* osq_publish_bpf_probe - see struct osq_publisher. */
bool osq_publish_bpf_probe(void)
{
	return IS_ENABLED(CONFIG_SECURITY) && IS_ENABLED(CONFIG_BPF_SYSCALL) &&
	       osq_probes_exist(probes, ARRAY_SIZE(probes));
}

/*
 * osq_publish_bpf_start - see struct osq_publisher.
 *
 * Return: 0; -ENOMEM; -EOPNOTSUPP where there are no such hooks; as
 * osq_probes_start.
 */
int osq_publish_bpf_start(struct osq_ring *ring, u64 options)
{
	int err;

	if (!osq_publish_bpf_probe())
		return -EOPNOTSUPP;
	err = osq_scratch_open();
	if (err)
		return err;
	target = ring;
	osq_publish_bpf_configure(options);
	err = osq_probes_start(probes, ARRAY_SIZE(probes));
	if (err)
		osq_scratch_close();
	return err;
}

/* osq_publish_bpf_configure - see struct osq_publisher. */
void osq_publish_bpf_configure(u64 options)
{
	WRITE_ONCE(chosen, options);
}

/* osq_publish_bpf_stop - see struct osq_publisher. */
void osq_publish_bpf_stop(void)
{
	osq_probes_stop(probes, ARRAY_SIZE(probes));
	osq_scratch_close();
}

/* osq_publish_bpf_missed - see struct osq_publisher. */
u64 osq_publish_bpf_missed(void)
{
	return osq_probes_missed(probes, ARRAY_SIZE(probes));
}
