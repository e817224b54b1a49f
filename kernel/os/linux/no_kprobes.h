/* SPDX-License-Identifier: GPL-2.0-only */
/* no_kprobes.h - for OSQ_KPROBES=n: the kernel as if it had no kprobes. */
#undef CONFIG_KPROBES
#undef CONFIG_KRETPROBES
#undef CONFIG_KPROBES_ON_FTRACE
#undef CONFIG_KRETPROBE_ON_RETHOOK
