// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_kexec.c - a record for each kernel that a process gives to kexec,
 * from probes on the hooks of security modules for what the kernel loads.
 *
 * kexec_load asks security_kernel_load_data, and kexec_file_load asks
 * security_kernel_read_file about its file, in the caller and once it is known
 * that the caller may. The same hooks are asked about firmware, modules and
 * policies, which make no record here.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/kernel_read_file.h>
#include <linux/sched/task_stack.h>
#include <linux/security.h>

#include <asm/syscall.h>

#include "compat.h"
#include "osq_encode.h"
#include "osq_probes.h"

#define CMDLINE_MAX_BYTES 512u

static_assert(sizeof(struct osq_kexec) + CMDLINE_MAX_BYTES <=
	      OSQ_PROBE_RECORD_MAX_BYTES);

static struct osq_ring *target;

/* What a record tells of. */
struct facts {
	const struct file *file; /* NULL: from memory */
	unsigned long given[6]; /* the arguments of the call */
};

/* kexec_file_load(kernel, initrd, cmdline_len, cmdline, flags) */
static void put_by_file(struct osq_kexec *record, const struct facts *facts,
			char *buffer)
{
	const struct inode *inode = file_inode(facts->file);
	dev_t dev = inode->i_sb->s_dev;
	const char __user *cmdline = (const char __user *)facts->given[3];

	record->action = OSQ_KEXEC_BY_FILE;
	record->kexec_flags = facts->given[4];
	record->file_dev = (u64)MAJOR(dev) << 32 | MINOR(dev);
	record->file_ino = inode->i_ino;
	if (cmdline && facts->given[2])
		record->head.flags |=
			osq_append_user_text(&record->head, &record->cmdline,
					     cmdline, CMDLINE_MAX_BYTES);
	if (!osq_append_path(&record->head, &record->path, &facts->file->f_path,
			     buffer))
		record->head.flags |= OSQ_FLAG_NO_PATH;
}

/* kexec_load(entry, nr_segments, segments, flags) */
static void put_by_memory(struct osq_kexec *record, const struct facts *facts)
{
	record->action = facts->given[1] ? OSQ_KEXEC_BY_MEMORY
					 : OSQ_KEXEC_UNLOAD;
	record->kexec_flags = facts->given[3];
}

static void encode(struct osq_record *head, char *buffer, const void *data)
{
	struct osq_kexec *record = (struct osq_kexec *)head;
	const struct facts *facts = data;

	osq_head_fill(head, sizeof(*record), OSQ_TYPE_KEXEC, &record->actor);
	osq_caller_fill(&record->caller);
	osq_append(head, &record->cmdline, 0);
	osq_append(head, &record->path, 0);
	if (facts->file)
		put_by_file(record, facts, buffer);
	else
		put_by_memory(record, facts);
}

/* Only the process whose call this is asks about a kernel. */
static void publish(const struct file *file)
{
	struct facts facts = { .file = file };

	if (!osq_filter_pass_task(target, OSQ_TYPE_KEXEC, current))
		return;
	syscall_get_arguments(current, task_pt_regs(current), facts.given);
	osq_encode_in_probe(target, OSQ_TYPE_KEXEC, encode, &facts,
			    OSQ_RANK_ROOT);
}

static int on_data(struct kprobe *probe, struct pt_regs *regs)
{
	if ((u32)osq_argument(regs, 0) == LOADING_KEXEC_IMAGE)
		publish(NULL);
	return 0;
}

static int on_file(struct kprobe *probe, struct pt_regs *regs)
{
	if ((u32)osq_argument(regs, 1) == READING_KEXEC_IMAGE)
		publish((void *)osq_argument(regs, 0));
	return 0;
}

static struct osq_probe probes[] = {
	{ .symbol = "security_kernel_load_data", .handler = on_data },
	{ .symbol = "security_kernel_read_file", .handler = on_file },
};

/* osq_publish_kexec_probe - see struct osq_publisher. */
bool osq_publish_kexec_probe(void)
{
	return IS_ENABLED(CONFIG_SECURITY) &&
	       osq_probes_exist(probes, ARRAY_SIZE(probes));
}

/*
 * osq_publish_kexec_start - see struct osq_publisher.
 *
 * Return: 0; -ENOMEM; -EOPNOTSUPP where there are no such hooks; as
 * osq_probes_start.
 */
int osq_publish_kexec_start(struct osq_ring *ring, u64 options)
{
	int err;

	if (!osq_publish_kexec_probe())
		return -EOPNOTSUPP;
	err = osq_scratch_open();
	if (err)
		return err;
	target = ring;
	err = osq_probes_start(probes, ARRAY_SIZE(probes));
	if (err)
		osq_scratch_close();
	return err;
}

/* osq_publish_kexec_stop - see struct osq_publisher. */
void osq_publish_kexec_stop(void)
{
	osq_probes_stop(probes, ARRAY_SIZE(probes));
	osq_scratch_close();
}

/* osq_publish_kexec_missed - see struct osq_publisher. */
u64 osq_publish_kexec_missed(void)
{
	return osq_probes_missed(probes, ARRAY_SIZE(probes));
}
