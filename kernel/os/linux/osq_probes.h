/* SPDX-License-Identifier: GPL-2.0-only */
/* osq_probes.h - probes.c: the kprobes of one publisher. */
#ifndef OSQ_PROBES_H
#define OSQ_PROBES_H

#include <linux/kprobes.h>
#include <linux/types.h>

#define OSQ_PROBES_MAX 8u

struct osq_probe {
	const char *symbol; /* the function at whose beginning it is */
	int (*handler)(struct kprobe *probe, struct pt_regs *regs);
	struct kprobe probe;
	/* Of the first one: once found, a function does not disappear. */
	bool all_found;
};

bool osq_probes_exist(struct osq_probe *probes, u32 count);
int osq_probes_start(struct osq_probe *probes, u32 count);
void osq_probes_stop(struct osq_probe *probes, u32 count);
u64 osq_probes_missed(const struct osq_probe *probes, u32 count);

#endif
