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

#ifdef OSQ_WITHOUT_CGROUPS
#undef CONFIG_CGROUPS
#undef CONFIG_CGROUP_BPF
#endif
