// SPDX-License-Identifier: GPL-2.0-only
/*
 * stats.c - /sys/class/osq/osquery/stats: all counters of one moment, for
 * people and osqstat, while the owner has the device open. Only root can read
 * it.
 */
#include <linux/device.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "osq_linux.h"

static int emit_type(char *page, int at, u32 type,
		     const struct osq_stats *stats)
{
	const struct osq_type_counters *counters = &stats->type[type];
	int reason;

	at += sysfs_emit_at(page, at, "type %u %llu %llu", type,
			    counters->attempts, counters->committed);
	for (reason = 0; reason < OSQ_DROP_COUNT; reason++)
		at += sysfs_emit_at(page, at, " %llu",
				    counters->dropped[reason]);
	return at + sysfs_emit_at(page, at, " %llu\n", stats->filtered[type]);
}

/* Types without any attempt are left out, so that one page is enough. */
static int emit(char *page, const struct osq_stats *stats)
{
	int at = sysfs_emit(page,
			    "generation %u\nring_bytes %llu\n"
			    "unread_bytes %llu\nattempts %llu\n"
			    "committed %llu\nconsumed %llu\npending %llu\n"
			    "in_flight %llu\nreset %llu\nwakeups %llu\n"
			    "hooks_off %llu\n",
			    stats->generation, stats->ring_bytes,
			    stats->unread_bytes, stats->attempts,
			    stats->committed, stats->consumed, stats->pending,
			    stats->in_flight, stats->reset, stats->wakeups,
			    stats->hooks_off);
	u32 type;

	for (type = 0; type < OSQ_TYPE_COUNT; type++)
		if (stats->type[type].attempts || stats->filtered[type])
			at = emit_type(page, at, type, stats);
	return at;
}

static ssize_t stats_show(struct device *device, struct device_attribute *attr,
			  char *page)
{
	struct osq_stats *stats = kzalloc(sizeof(*stats), GFP_KERNEL);
	ssize_t bytes;

	if (!stats)
		return -ENOMEM;
	osq_device_peek(stats);
	bytes = emit(page, stats);
	kfree(stats);
	return bytes;
}

static struct device_attribute stats_attr =
	__ATTR(stats, 0400, stats_show, NULL);
static struct attribute *attrs[] = { &stats_attr.attr, NULL };
static const struct attribute_group group = { .attrs = attrs };
const struct attribute_group *osq_stats_groups[] = { &group, NULL };
