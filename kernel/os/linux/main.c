// SPDX-License-Identifier: GPL-2.0
/* main.c - init and exit of the module, and the table of its publishers. */
#include <linux/init.h>
#include <linux/module.h>

#include "osq_linux.h"

const struct osq_publisher osq_publishers[] = {
	{
		.name = "exec",
		.type = OSQ_TYPE_EXEC,
		.start = osq_publish_exec_start,
		.stop = osq_publish_exec_stop,
	},
	{
		.name = "fork",
		.type = OSQ_TYPE_FORK,
		.start = osq_publish_fork_start,
		.stop = osq_publish_fork_stop,
	},
	{
		.name = "exit",
		.type = OSQ_TYPE_EXIT,
		.start = osq_publish_exit_start,
		.stop = osq_publish_exit_stop,
	},
	{}
};

static int __init osq_init(void)
{
	int err = osq_device_register();

	if (!err)
		pr_info("osq: loaded, ABI %d, schema %d\n", OSQ_ABI_VERSION,
			OSQ_SCHEMA_VERSION);
	return err;
}

static void __exit osq_exit(void)
{
	osq_device_unregister();
	pr_info("osq: unloaded\n");
}

module_init(osq_init);
module_exit(osq_exit);
MODULE_DESCRIPTION("Process events for osquery, in shared memory");
MODULE_LICENSE("GPL");
