/* SPDX-License-Identifier: GPL-2.0-only */
/* without.h - for OSQ_WITHOUT: the kernel as if it had been configured so. */
#ifdef OSQ_WITHOUT_KPROBES
#undef CONFIG_KPROBES
#undef CONFIG_KRETPROBES
#undef CONFIG_KPROBES_ON_FTRACE
#undef CONFIG_KRETPROBE_ON_RETHOOK
#endif

/* An architecture without this option has no such function. */
#ifdef OSQ_WITHOUT_ARGUMENTS
#undef CONFIG_HAVE_FUNCTION_ARG_ACCESS_API
#include <linux/kprobes.h>
#include <linux/ftrace.h>
#pragma GCC poison regs_get_kernel_argument
#endif

#ifdef OSQ_WITHOUT_IPV6
#undef CONFIG_IPV6
#undef CONFIG_IPV6_MODULE
#endif

/* With the options that depend on it, and that headers ask for. */
#ifdef OSQ_WITHOUT_CGROUPS
#undef CONFIG_CGROUPS
#undef CONFIG_BLK_CGROUP
#undef CONFIG_CGROUP_BPF
#undef CONFIG_CGROUP_NET_CLASSID
#undef CONFIG_CGROUP_NET_PRIO
#undef CONFIG_CGROUP_SCHED
#undef CONFIG_CGROUP_WRITEBACK
#undef CONFIG_CPUSETS
#undef CONFIG_MEMCG
#undef CONFIG_MEMCG_KMEM
#undef CONFIG_SOCK_CGROUP_DATA
#endif
