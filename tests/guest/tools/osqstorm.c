// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqstorm.c - an owner that changes its mind all the time, and counts.
 *
 *	osqstorm random STEPS SEED TYPE...
 *		switches every type that the driver has on and off, with any
 *		options and filters, right ones and wrong ones, while others
 *		make events; reads all there is. At last all are on, without
 *		filters, until there was a record of each TYPE
 *	osqstorm populations N
 *		two users' processes, N execs each, while filters keep out one
 *		of them, the other, both or none
 *
 * The records that were read are compared with the counters at the end, type
 * by type, and the equations of osq.h are checked after each SYNC. Prints one
 * JSON object; "fault" is empty when the counters add up.
 */
#include <errno.h>
#include <grp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libosq.h"

#define RING_BYTES (1u << 22)
#define FIRST_UID 1001u
/* An emulated guest on a busy host needs it; a native one, a hundredth. */
#define PATIENCE_S 120.0

static struct osq_client client;
static struct osq_caps caps;
static unsigned long long seen[OSQ_TYPE_COUNT]; /* records, by type */
static unsigned long long told; /* drops that LOST records told of */
static unsigned long long last_told; /* seq up to which they did */
static unsigned long long of_uid[2], changes, refused, syncs, seed;

static void give_up(const char *what, int err)
{
	printf("{\"fault\":\"%s: %s\"}\n", what, strerror(-err));
	exit(1);
}

static void must(const char *what, int err)
{
	if (err)
		give_up(what, err);
}

static unsigned int below(unsigned int bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned int)(seed >> 11) % bound;
}

static void note(const struct osq_record *record)
{
	const struct osq_exec *exec = (const void *)record;
	const struct osq_lost *lost = (const void *)record;
	int reason;

	seen[record->type]++;
	if (record->type == OSQ_TYPE_EXEC && exec->uid - FIRST_UID < 2)
		of_uid[exec->uid - FIRST_UID]++;
	if (record->type != OSQ_TYPE_LOST)
		return;
	for (reason = 0; reason < OSQ_DROP_COUNT; reason++)
		told += lost->dropped[reason];
	if (lost->first_seq <= last_told)
		give_up("a loss was told twice", -EPROTO);
	last_told = lost->last_seq;
}

/* Read all there is, and check what the driver says of it. */
static void drain(void)
{
	const struct osq_record *record;
	int got;

	must("sync", osq_client_sync(&client, 0));
	syncs++;
	if (osq_client_broken_law(&client.stats))
		give_up(osq_client_broken_law(&client.stats), -EPROTO);
	while ((got = osq_client_next(&client, &record)) == 1)
		note(record);
	must("next", got);
}

static void set_filter(const struct osq_filter *filter, int wanted)
{
	int err = osq_client_filter(&client, filter);

	if (err != wanted)
		give_up("filter", err ? err : -EPROTO);
	if (err)
		refused++;
	else
		changes++;
}

/* Any type that the driver has, but LOST. */
static unsigned int any_type(void)
{
	unsigned int type;

	do
		type = below(OSQ_TYPE_COUNT);
	while (!(caps.types >> type & 1));
	return type;
}

/* Conditions that all types have; each lets in some of what happens. */
static void any_filter(void)
{
	struct osq_filter filter = { .type = any_type() };

	if (!(caps.filters >> filter.type & 1))
		return;
	filter.exclude = below(8);
	filter.uid_count = below(2);
	filter.uids[0].last = below(2) * 2000;
	filter.pid_ns_count = below(2);
	filter.pid_ns[0] = 0xeffffffcu; /* PROC_PID_INIT_INO */
	filter.cgroup_count = below(3);
	filter.cgroups[0] = 1;
	filter.cgroups[1] = below(5000);
	if (filter.type == OSQ_TYPE_EXEC && below(2)) {
		filter.path_count = 1;
		filter.paths[0].len = 4;
		memcpy(filter.bytes, "/usr", 4);
	}
	set_filter(&filter, 0);
	filter.uid_count = OSQ_FILTER_LIST_MAX + 1 + below(100);
	set_filter(&filter, -EINVAL);
}

/* Bits that its publisher does not know are refused, and change nothing. */
static void any_subscription(void)
{
	unsigned int type = any_type();
	int err = osq_client_subscribe(&client, type, (int)below(2),
				       below(2) ? 0 : 1ull << below(8));

	if (err == -EINVAL)
		refused++;
	else if (err)
		give_up("subscribe", err);
	else
		changes++;
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One sixth of a second without, so that the ring fills up now and then. */
static void be_slow(void)
{
	struct timespec rest = { .tv_nsec = 166 * 1000 * 1000 };

	nanosleep(&rest, NULL);
}

static void storm(long steps)
{
	while (steps-- > 0) {
		switch (below(40)) {
		case 0:
			be_slow();
			break;
		case 1 ... 6:
			any_filter();
			break;
		case 7 ... 15:
			any_subscription();
			break;
		default:
			drain();
		}
	}
}

static void switch_all(int on)
{
	unsigned int type;

	for (type = 0; type < OSQ_TYPE_COUNT; type++) {
		struct osq_filter none = { .type = type };

		if (!(caps.types >> type & 1))
			continue;
		if (on && caps.filters >> type & 1)
			set_filter(&none, 0);
		must("subscribe", osq_client_subscribe(&client, type, on, 0));
	}
}

static void wait_for(unsigned int type)
{
	double end = now_s() + PATIENCE_S;

	while (!seen[type] && now_s() < end)
		drain();
	if (!seen[type]) {
		fprintf(stderr, "no record of type %u\n", type);
		give_up("a type of records never came", -ETIMEDOUT);
	}
}

static pid_t start_population(unsigned int uid, long count)
{
	char *const arguments[] = { "osqstorm", "exit", NULL };
	int status = 0;
	pid_t pid = fork(), one;

	if (pid)
		return pid;
	if (setgroups(0, NULL) || setresgid(uid, uid, uid) ||
	    setresuid(uid, uid, uid))
		_exit(1);
	while (count-- > 0 && !status) {
		status = posix_spawn(&one, "/proc/self/exe", NULL, NULL,
				     arguments, NULL);
		if (!status && waitpid(one, &status, 0) != one)
			status = errno;
	}
	_exit(status ? 1 : 0);
}

/* Keep out neither, the first, the second or both. */
static void keep_out(unsigned int which)
{
	struct osq_filter filter = { .type = OSQ_TYPE_EXEC,
				     .exclude = OSQ_FILTER_BY_UID };

	filter.uids[0].first = FIRST_UID + (which == 2);
	filter.uids[0].last = FIRST_UID + (which != 1);
	filter.uid_count = which != 0;
	set_filter(&filter, 0);
}

static void populations(long count)
{
	pid_t pids[2];
	int status, left = 2, i;

	must("subscribe", osq_client_subscribe(&client, OSQ_TYPE_EXEC, 1, 0));
	for (i = 0; i < 2; i++)
		pids[i] = start_population(FIRST_UID + (unsigned int)i, count);
	for (; left; drain()) {
		keep_out(below(4));
		for (i = 0; i < 2; i++)
			if (pids[i] && waitpid(pids[i], &status, WNOHANG)) {
				if (status)
					give_up("population", -ECHILD);
				pids[i] = 0;
				left--;
			}
	}
}

/* All is off now: what was read is what was committed, and so on. */
static void compare(const struct osq_stats *stats)
{
	unsigned long long dropped = 0;
	unsigned int type, reason;

	if (osq_client_broken_stats(stats))
		give_up(osq_client_broken_stats(stats), -EPROTO);
	if (stats->pending || stats->in_flight || stats->reset)
		give_up("something is left", -EPROTO);
	for (type = 0; type < OSQ_TYPE_COUNT; type++) {
		if (stats->type[type].committed != seen[type])
			give_up("read is not committed", -EPROTO);
		for (reason = 0; reason < OSQ_DROP_COUNT; reason++)
			dropped += stats->type[type].dropped[reason];
	}
	/* What no LOST record told of came after the last record. */
	if (dropped - told != stats->attempts - client.last_seq)
		give_up("losses are not what was told", -EPROTO);
}

static void print(const struct osq_stats *stats)
{
	unsigned long long filtered = 0, dropped = 0;
	unsigned int type;

	for (type = 0; type < OSQ_TYPE_COUNT; type++) {
		filtered += stats->filtered[type];
		dropped += client.stats.dropped_of[type];
	}
	printf("{\"fault\":\"\",\"attempts\":%llu,\"committed\":%llu,"
	       "\"dropped\":%llu,\"filtered\":%llu,\"syncs\":%llu,"
	       "\"changes\":%llu,\"refused\":%llu,\"first\":%llu,"
	       "\"second\":%llu,\"filtered_execs\":%llu,"
	       "\"dropped_execs\":%llu,\"types\":{",
	       (unsigned long long)stats->attempts,
	       (unsigned long long)stats->committed, dropped, filtered, syncs,
	       changes, refused, of_uid[0], of_uid[1],
	       (unsigned long long)stats->filtered[OSQ_TYPE_EXEC],
	       (unsigned long long)client.stats.dropped_of[OSQ_TYPE_EXEC]);
	printf("\"%u\":%llu", OSQ_TYPE_LOST, seen[OSQ_TYPE_LOST]);
	for (type = 0; type < OSQ_TYPE_COUNT; type++)
		if (caps.types >> type & 1)
			printf(",\"%u\":%llu", type, seen[type]);
	puts("}}");
}

int main(int argc, char **argv)
{
	struct osq_stats stats;
	int i;

	if (argc == 2 && !strcmp(argv[1], "exit"))
		return 0;
	if (argc < 3)
		return 2;
	seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
	must("open", osq_client_open(&client, NULL, RING_BYTES));
	must("caps", osq_client_caps(&client, &caps));
	if (!strcmp(argv[1], "random")) {
		storm(atol(argv[2]));
		switch_all(1);
		for (i = 4; i < argc; i++)
			wait_for((unsigned int)atoi(argv[i]) % OSQ_TYPE_COUNT);
	} else {
		populations(atol(argv[2]));
	}
	switch_all(0);
	drain();
	/* Once more, to give back what was read. */
	drain();
	must("stats", osq_client_stats(&client, &stats));
	compare(&stats);
	print(&stats);
	osq_client_close(&client);
	return 0;
}
