// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_module.c - a record for every module that is loaded or unloaded, from
 * the kernel's own chain of notifiers.
 *
 * The chain is called in the process that loads or unloads, outside of all
 * locks but its own, and for each module, so nothing can be missed. Calls that
 * fail are told by module_calls.c.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/string.h>

#include "compat.h"
#include "osq_encode.h"
#include "osq_module_calls.h"

/*
 * modinfo's texts can have any length; these limits are enough for the usual
 * ones.
 */
#define VERSION_MAX_BYTES 128u
#define SRCVERSION_MAX_BYTES 64u
#define ARGS_MAX_BYTES 512u

static_assert(sizeof(struct osq_module) + MODULE_NAME_LEN + VERSION_MAX_BYTES +
		      SRCVERSION_MAX_BYTES + ARGS_MAX_BYTES <=
	      OSQ_PROBE_RECORD_MAX_BYTES);

static struct osq_ring *target;
static u64 chosen; /* OSQ_MODULE_OPT; 0: all */

/* 0 for a state that makes no record. */
static u32 action_of(unsigned long state)
{
	switch (state) {
	case MODULE_STATE_COMING:
		return OSQ_MODULE_LOADING;
	case MODULE_STATE_LIVE:
		return OSQ_MODULE_LOADED;
	case MODULE_STATE_GOING:
		return OSQ_MODULE_UNLOADING;
	default:
		return 0;
	}
}

/* What a record tells of. */
struct facts {
	const struct module *module; /* NULL: none was made of the call */
	enum osq_module_call call; /* as far as it is needed */
	u32 action;
	u32 error;
};

static void put_file(struct osq_module *record, const struct file *file,
		     char *buffer)
{
	const struct inode *inode = file_inode(file);
	dev_t dev = inode->i_sb->s_dev;

	record->file_dev = (u64)MAJOR(dev) << 32 | MINOR(dev);
	record->file_ino = inode->i_ino;
	if (!osq_append_path(&record->head, &record->path, &file->f_path,
			     buffer))
		record->head.flags |= OSQ_FLAG_NO_PATH;
}

/* Once they are parsed, the kernel has cut its own parameters into pieces. */
static const char *own_args(const struct facts *facts)
{
	return facts->action == OSQ_MODULE_LOADING
		       ? osq_module_args(facts->module)
		       : NULL;
}

static void put_call(struct osq_module *record, const struct facts *facts,
		     char *buffer)
{
	const char *own = own_args(facts);
	const char __user *args;
	struct file *file = osq_module_call_args(facts->call, &args);

	osq_append(&record->head, &record->args, 0);
	osq_append(&record->head, &record->path, 0);
	if (own) {
		osq_append_text(&record->head, &record->args, own,
				ARGS_MAX_BYTES);
		record->args_bytes = strlen(own);
		if (record->args_bytes > record->args.len)
			record->head.flags |= OSQ_FLAG_TRUNC_ARGV;
	} else if (args) {
		record->head.flags |= osq_append_user_text(
			&record->head, &record->args, args, ARGS_MAX_BYTES);
		record->args_bytes = record->args.len;
	}
	if (!file)
		return;
	put_file(record, file, buffer);
	fput(file);
}

static void encode(struct osq_record *head, char *buffer, const void *data)
{
	struct osq_module *record = (struct osq_module *)head;
	const struct facts *facts = data;
	const struct module *module = facts->module;

	osq_head_fill(head, sizeof(*record), OSQ_TYPE_MODULE, &record->actor);
	record->action = facts->action;
	record->error = facts->error;
	if (module) {
		record->taints = module->taints;
		record->size_bytes = osq_module_core_bytes(module);
	}
	osq_append_text(head, &record->name, module ? module->name : NULL,
			MODULE_NAME_LEN);
	osq_append_text(head, &record->version, module ? module->version : NULL,
			VERSION_MAX_BYTES);
	osq_append_text(head, &record->srcversion,
			module ? module->srcversion : NULL,
			SRCVERSION_MAX_BYTES);
	put_call(record, facts, buffer);
}

static bool is_wanted(u32 action)
{
	u64 asked = READ_ONCE(chosen);

	return (!asked || asked & OSQ_MODULE_OPT(action)) &&
	       osq_filter_pass_task(target, OSQ_TYPE_MODULE, current);
}

static int on_module(struct notifier_block *block, unsigned long state,
		     void *data)
{
	struct facts facts = { .module = data, .action = action_of(state) };

	if (!facts.action || !is_wanted(facts.action))
		return NOTIFY_DONE;
	if (facts.action == OSQ_MODULE_LOADING)
		facts.call = osq_module_call_kind();
	osq_encode_and_publish(target, OSQ_TYPE_MODULE, encode, &facts,
			       OSQ_RANK_ROOT);
	return NOTIFY_DONE;
}

/* Any user can make calls that fail, in any number. */
static void on_failure(enum osq_module_call call, u32 error)
{
	struct facts facts = { .call = call,
			       .action = OSQ_MODULE_FAILED,
			       .error = error };

	if (is_wanted(OSQ_MODULE_FAILED))
		osq_encode_in_probe(target, OSQ_TYPE_MODULE, encode, &facts,
				    osq_rank_of_caller());
}

static struct notifier_block notifier = { .notifier_call = on_module };

/*
 * Without kretprobes the other actions are recorded, unless FAILED alone is
 * wanted.
 */
static int start_calls(u64 options)
{
	int err = osq_module_calls_start(on_failure);

	if (err == -EOPNOTSUPP && options != OSQ_MODULE_OPT(OSQ_MODULE_FAILED))
		return 0;
	return err;
}

/*
 * osq_publish_module_start - see struct osq_publisher.
 *
 * Return: 0; -ENOMEM; -EOPNOTSUPP where FAILED alone is wanted and there are no
 * kretprobes.
 */
int osq_publish_module_start(struct osq_ring *ring, u64 options)
{
	int err = osq_scratch_open();

	if (err)
		return err;
	target = ring;
	osq_publish_module_configure(options);
	err = start_calls(options);
	if (err)
		goto close;
	err = register_module_notifier(&notifier);
	if (!err)
		return 0;
	osq_module_calls_stop();
close:
	osq_scratch_close();
	return err;
}

/* osq_publish_module_configure - see struct osq_publisher. */
void osq_publish_module_configure(u64 options)
{
	WRITE_ONCE(chosen, options);
}

/*
 * osq_publish_module_stop - see struct osq_publisher.
 *
 * The kernel holds the chain's lock for reading while it calls on_module, and
 * takes it for writing here, so no call of on_module is left.
 */
void osq_publish_module_stop(void)
{
	unregister_module_notifier(&notifier);
	osq_module_calls_stop();
	osq_scratch_close();
}

/* osq_publish_module_missed - see struct osq_publisher. */
u64 osq_publish_module_missed(void)
{
	return osq_module_calls_missed();
}

/* osq_publish_module_is_off - see struct osq_publisher; of FAILED alone. */
bool osq_publish_module_is_off(void)
{
	return osq_module_calls_are_off();
}
