// SPDX-License-Identifier: GPL-2.0-only
/* main.c - init and exit of the module, and the table of its publishers. */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/stringify.h>

#include "osq_linux.h"
#include "osq_test_build.h"
#include "osq_version.h"

/* The conditions that can be checked for every process. */
#define BY_PROCESS                                  \
	(OSQ_FILTER_BY_UID | OSQ_FILTER_BY_PID_NS | \
	 (IS_ENABLED(CONFIG_CGROUPS) ? OSQ_FILTER_BY_CGROUP : 0))

const struct osq_publisher osq_publishers[] = {
	{
		.name = "exec",
		.type = OSQ_TYPE_EXEC,
		.options = OSQ_EXEC_ENV,
		.filters = BY_PROCESS | OSQ_FILTER_BY_PATH,
		.probe = osq_publish_exec_probe,
		.start = osq_publish_exec_start,
		.configure = osq_publish_exec_configure,
		.stop = osq_publish_exec_stop,
	},
	{
		.name = "fork",
		.type = OSQ_TYPE_FORK,
		.options = OSQ_FORK_PROCESSES,
		.filters = BY_PROCESS,
		.probe = osq_publish_fork_probe,
		.start = osq_publish_fork_start,
		.configure = osq_publish_fork_configure,
		.stop = osq_publish_fork_stop,
	},
	{
		.name = "exit",
		.type = OSQ_TYPE_EXIT,
		.options = OSQ_EXIT_PROCESSES,
		.filters = BY_PROCESS,
		.probe = osq_publish_exit_probe,
		.start = osq_publish_exit_start,
		.configure = osq_publish_exit_configure,
		.stop = osq_publish_exit_stop,
	},
	{
		.name = "socket",
		.type = OSQ_TYPE_SOCKET,
		.options = OSQ_SOCKET_OPTS,
		.filters = BY_PROCESS,
		.probe = osq_publish_socket_probe,
		.start = osq_publish_socket_start,
		.configure = osq_publish_socket_configure,
		.stop = osq_publish_socket_stop,
		.missed = osq_publish_socket_missed,
		.is_off = osq_hook_check_is_off,
	},
	{
		.name = "file",
		.type = OSQ_TYPE_FILE,
		.options = OSQ_FILE_OPT_ALL,
		.filters = BY_PROCESS,
		.probe = osq_publish_file_probe,
		.start = osq_publish_file_start,
		.configure = osq_publish_file_configure,
		.stop = osq_publish_file_stop,
	},
	{
		.name = "module",
		.type = OSQ_TYPE_MODULE,
		.options = OSQ_MODULE_OPT_ALL,
		.filters = BY_PROCESS,
		.start = osq_publish_module_start,
		.configure = osq_publish_module_configure,
		.stop = osq_publish_module_stop,
		.missed = osq_publish_module_missed,
		.is_off = osq_publish_module_is_off,
	},
	{
		.name = "cred",
		.type = OSQ_TYPE_CRED,
		.options = OSQ_CRED_OPT_ALL,
		.filters = BY_PROCESS,
		.probe = osq_publish_cred_probe,
		.start = osq_publish_cred_start,
		.configure = osq_publish_cred_configure,
		.stop = osq_publish_cred_stop,
		.missed = osq_publish_cred_missed,
		.is_off = osq_hook_check_is_off,
	},
	{
		.name = "ptrace",
		.type = OSQ_TYPE_PTRACE,
		.options = OSQ_PTRACE_OPT_ALL,
		.filters = BY_PROCESS,
		.probe = osq_publish_ptrace_probe,
		.start = osq_publish_ptrace_start,
		.configure = osq_publish_ptrace_configure,
		.stop = osq_publish_ptrace_stop,
		.missed = osq_publish_ptrace_missed,
		.is_off = osq_hook_check_is_off,
	},
	{
		.name = "namespace",
		.type = OSQ_TYPE_NAMESPACE,
		.options = OSQ_NAMESPACE_OPT_ALL,
		.filters = BY_PROCESS,
		.probe = osq_publish_namespace_probe,
		.start = osq_publish_namespace_start,
		.configure = osq_publish_namespace_configure,
		.stop = osq_publish_namespace_stop,
		.missed = osq_publish_namespace_missed,
		.is_off = osq_hook_check_is_off,
	},
	{
		.name = "bpf",
		.type = OSQ_TYPE_BPF,
		.options = OSQ_BPF_OPT_ALL,
		.filters = BY_PROCESS,
		.probe = osq_publish_bpf_probe,
		.start = osq_publish_bpf_start,
		.configure = osq_publish_bpf_configure,
		.stop = osq_publish_bpf_stop,
		.missed = osq_publish_bpf_missed,
		.is_off = osq_hook_check_is_off,
	},
	{
		.name = "kexec",
		.type = OSQ_TYPE_KEXEC,
		.filters = BY_PROCESS,
		.probe = osq_publish_kexec_probe,
		.start = osq_publish_kexec_start,
		.stop = osq_publish_kexec_stop,
		.missed = osq_publish_kexec_missed,
		.is_off = osq_hook_check_is_off,
	},
	{
		.name = "signal",
		.type = OSQ_TYPE_SIGNAL,
		.filters = BY_PROCESS,
		.probe = osq_publish_signal_probe,
		.start = osq_publish_signal_start,
		.stop = osq_publish_signal_stop,
		.missed = osq_publish_signal_missed,
		.is_off = osq_hook_check_is_off,
	},
#ifdef OSQ_TEST_BUILD
	{
		.name = "test",
		.type = OSQ_TYPE_TEST,
		.options = OSQ_TEST_OPT_HOLD | OSQ_TEST_OPT_SLOW,
		.start = osq_test_start,
		.configure = osq_test_configure,
		.stop = osq_test_stop,
	},
#endif
	{}
};

static int __init osq_init(void)
{
	int err = osq_test_allowed();

	if (err)
		return err;
	/* As soon as the device is there, records may ask for the result. */
	osq_namespaces_probe();
	err = osq_device_register();
	if (!err)
		pr_info(OSQ_NAME ": loaded, ABI 0x%x, schema %d\n",
			OSQ_ABI_VERSION, OSQ_SCHEMA_VERSION);
	return err;
}

static void __exit osq_exit(void)
{
	/* The drains need that no file can be opened any more. */
	osq_device_unregister();
	osq_filter_drain();
	osq_watches_drain();
	pr_info(OSQ_NAME ": unloaded\n");
}

module_init(osq_init);
module_exit(osq_exit);
MODULE_DESCRIPTION(
	"Process, socket and file events for osquery, in shared memory");
MODULE_LICENSE("GPL");
MODULE_VERSION(OSQ_VERSION);
/*
 * Packaging reads this number from the file: a test build's has the top bit
 * set.
 */
MODULE_INFO(osq_abi, __stringify(OSQ_ABI_VERSION));
