// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqstat.c - live counters of the driver, while another process reads records.
 *
 * The device has one owner, so this program reads the driver's page in sysfs,
 * which has all counters of one moment, and prints the changes.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "libosq.h"
#include "osq_version.h"

#ifdef OSQ_TEST_BUILD
#define PAGE_FILE "/sys/class/osq_test/osquery_test/stats"
#else
#define PAGE_FILE "/sys/class/osq/osquery/stats"
#endif

/* A time_t of 32 bits holds it, too. */
#define INTERVAL_MAX_S 1e9

static const char help[] =
	"usage: osqstat [OPTION]... [INTERVAL_S [COUNT]]\n"
	"Print the counters of the osq driver: what came in, what a filter "
	"kept\n"
	"out, what was read, what was lost and why. It does not disturb "
	"whoever\n"
	"reads the records.\n"
	"\n"
	"  -j, --json       one JSON object a line, with totals, not rates\n"
	"  -f, --file FILE  (default: " PAGE_FILE ")\n"
	"  -V, --version    the version of the program\n"
	"  -h, --help       this text\n"
	"\n"
	"Without INTERVAL_S it prints totals by type, once. With it, a line "
	"each\n"
	"interval: rates per second since the line before, the part of the "
	"ring\n"
	"that is unread, and drops in that interval by reason.\n"
	"\n"
	"exit status: 0; 1 the file cannot be read, or the counters do not "
	"add\n"
	"up; 2 wrong usage.\n";

struct view {
	const char *file;
	double interval_s; /* 0: once */
	unsigned long count; /* 0: no end */
	int json;
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static int parse_type_line(const char *line, struct osq_stats *stats)
{
	unsigned int type;
	int used, reason;
	struct osq_type_counters *one;
	uint64_t attempts, committed, filtered;

	if (sscanf(line, "type %u %" SCNu64 " %" SCNu64 "%n", &type, &attempts,
		   &committed, &used) != 3 ||
	    type >= OSQ_TYPE_COUNT)
		return -EBADMSG;
	one = &stats->type[type];
	one->attempts = attempts;
	one->committed = committed;
	for (reason = 0; reason < OSQ_DROP_COUNT; reason++) {
		uint64_t dropped;
		int more;

		line += used;
		if (sscanf(line, " %" SCNu64 "%n", &dropped, &more) != 1)
			return -EBADMSG;
		one->dropped[reason] = dropped;
		used = more;
	}
	if (sscanf(line + used, " %" SCNu64, &filtered) != 1)
		return -EBADMSG;
	stats->filtered[type] = filtered;
	return 0;
}

static int parse_line(const char *line, struct osq_stats *stats)
{
	const struct {
		const char *name;
		__u64 *value;
	} names[] = {
		{ "ring_bytes", &stats->ring_bytes },
		{ "unread_bytes", &stats->unread_bytes },
		{ "attempts", &stats->attempts },
		{ "committed", &stats->committed },
		{ "consumed", &stats->consumed },
		{ "pending", &stats->pending },
		{ "in_flight", &stats->in_flight },
		{ "reset", &stats->reset },
		{ "wakeups", &stats->wakeups },
		{ "hooks_off", &stats->hooks_off },
	};
	char name[32];
	uint64_t value;
	size_t i;

	if (!strncmp(line, "type ", 5))
		return parse_type_line(line, stats);
	if (sscanf(line, "%31s %" SCNu64, name, &value) != 2)
		return -EBADMSG;
	if (!strcmp(name, "generation"))
		stats->generation = (uint32_t)value;
	/* A newer driver may have further counters. */
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i].name))
			*names[i].value = value;
	return 0;
}

static int read_stats(const char *file, struct osq_stats *stats)
{
	FILE *in = fopen(file, "re");
	char line[512];
	int err = 0, lines = 0;

	memset(stats, 0, sizeof(*stats));
	if (!in)
		return -errno;
	while (!err && fgets(line, sizeof(line), in)) {
		err = parse_line(line, stats);
		lines++;
	}
	fclose(in);
	return err ? err : lines ? 0 : -EBADMSG;
}

static uint64_t dropped_by(const struct osq_stats *stats, int reason)
{
	uint64_t sum = 0;
	int type;

	for (type = 0; type < OSQ_TYPE_COUNT; type++)
		sum += stats->type[type].dropped[reason];
	return sum;
}

static uint64_t filtered_of_all(const struct osq_stats *stats)
{
	uint64_t sum = 0;
	int type;

	for (type = 0; type < OSQ_TYPE_COUNT; type++)
		sum += stats->filtered[type];
	return sum;
}

/*
 * PRIu64 is for uint64_t, which need not be the unsigned long long that __u64
 * is, so each counter is cast. Reasons without a name are still unused.
 */
static void print_totals(const struct osq_stats *stats)
{
	unsigned int type;
	int reason;

	printf("ring %" PRIu64 " bytes, %" PRIu64 " unread; generation %u; "
	       "%" PRIu64 " wakeups\n",
	       (uint64_t)stats->ring_bytes, (uint64_t)stats->unread_bytes,
	       stats->generation, (uint64_t)stats->wakeups);
	printf("%-8s %12s %12s %10s", "type", "attempts", "committed",
	       "filtered");
	for (reason = 0; reason < OSQ_DROP_COUNT; reason++)
		if (json_reason_name(reason))
			printf(" %10s", json_reason_name(reason));
	putchar('\n');
	for (type = 0; type < OSQ_TYPE_COUNT; type++) {
		const struct osq_type_counters *one = &stats->type[type];

		if (!one->attempts && !stats->filtered[type])
			continue;
		printf("%-8s %12" PRIu64 " %12" PRIu64 " %10" PRIu64,
		       json_type_name(type) ? json_type_name(type) : "?",
		       (uint64_t)one->attempts, (uint64_t)one->committed,
		       (uint64_t)stats->filtered[type]);
		for (reason = 0; reason < OSQ_DROP_COUNT; reason++)
			if (json_reason_name(reason))
				printf(" %10" PRIu64,
				       (uint64_t)one->dropped[reason]);
		putchar('\n');
	}
	printf("%-8s %12" PRIu64 " %12" PRIu64 "   consumed %" PRIu64
	       ", pending %" PRIu64 ", reset %" PRIu64 "\n",
	       "all", (uint64_t)stats->attempts, (uint64_t)stats->committed,
	       (uint64_t)stats->consumed, (uint64_t)stats->pending,
	       (uint64_t)stats->reset);
}

static void print_rates(const struct osq_stats *now,
			const struct osq_stats *before, double interval_s,
			unsigned long line)
{
	double used = now->ring_bytes ? 100.0 * (double)now->unread_bytes /
						(double)now->ring_bytes
				      : 0.0;
	int reason;

	/* Again before the first heads have left a terminal of 24 lines. */
	if (line % 20 == 0) {
		printf("%10s %10s %10s %10s %7s", "events/s", "filtered/s",
		       "read/s", "wakeups/s", "unread");
		for (reason = 0; reason < OSQ_DROP_COUNT; reason++)
			if (json_reason_name(reason))
				printf(" %9s", json_reason_name(reason));
		putchar('\n');
	}
	printf("%10.0f %10.0f %10.0f %10.0f %6.1f%%",
	       (double)(now->attempts - before->attempts) / interval_s,
	       (double)(filtered_of_all(now) - filtered_of_all(before)) /
		       interval_s,
	       (double)(now->consumed - before->consumed) / interval_s,
	       (double)(now->wakeups - before->wakeups) / interval_s, used);
	for (reason = 0; reason < OSQ_DROP_COUNT; reason++)
		if (json_reason_name(reason))
			printf(" %9" PRIu64,
			       dropped_by(now, reason) -
				       dropped_by(before, reason));
	putchar('\n');
	fflush(stdout);
}

static void print_json(const struct osq_stats *stats)
{
	int reason;

	printf("{\"generation\":%u,\"ring_bytes\":%" PRIu64
	       ",\"unread_bytes\":%" PRIu64 ",\"attempts\":%" PRIu64
	       ",\"committed\":%" PRIu64 ",\"consumed\":%" PRIu64
	       ",\"pending\":%" PRIu64 ",\"in_flight\":%" PRIu64
	       ",\"reset\":%" PRIu64 ",\"wakeups\":%" PRIu64
	       ",\"filtered\":%" PRIu64 ",\"hooks_off\":%" PRIu64,
	       stats->generation, (uint64_t)stats->ring_bytes,
	       (uint64_t)stats->unread_bytes, (uint64_t)stats->attempts,
	       (uint64_t)stats->committed, (uint64_t)stats->consumed,
	       (uint64_t)stats->pending, (uint64_t)stats->in_flight,
	       (uint64_t)stats->reset, (uint64_t)stats->wakeups,
	       filtered_of_all(stats), (uint64_t)stats->hooks_off);
	for (reason = 0; reason < OSQ_DROP_COUNT; reason++)
		if (json_reason_name(reason))
			printf(",\"dropped_%s\":%" PRIu64,
			       json_reason_name(reason),
			       dropped_by(stats, reason));
	printf(",\"law_holds\":%s}\n",
	       osq_client_broken_stats(stats) ? "false" : "true");
	fflush(stdout);
}

static int read_checked(const char *file, struct osq_stats *stats)
{
	int err = read_stats(file, stats);
	const char *broken = err ? NULL : osq_client_broken_stats(stats);

	if (err)
		fprintf(stderr, "osqstat: %s: %s%s\n", file, strerror(-err),
			err == -ENOENT ? " (is the module loaded?)" : "");
	if (broken)
		fprintf(stderr, "osqstat: the counters do not add up: %s\n",
			broken);
	return err || broken ? -1 : 0;
}

static void sleep_for(double seconds)
{
	struct timespec rest = { .tv_sec = (time_t)seconds };

	rest.tv_nsec = (long)((seconds - (double)rest.tv_sec) * 1e9);
	nanosleep(&rest, NULL);
}

static int run(const struct view *view)
{
	static struct osq_stats now, before;
	unsigned long line;

	if (read_checked(view->file, &now))
		return 1;
	if (view->json)
		print_json(&now);
	else if (view->interval_s <= 0)
		print_totals(&now);
	for (line = 0; view->interval_s > 0 && !ended &&
		       (!view->count || line < view->count);
	     line++) {
		before = now;
		sleep_for(view->interval_s);
		if (ended)
			break;
		if (read_checked(view->file, &now))
			return 1;
		if (view->json)
			print_json(&now);
		else
			print_rates(&now, &before, view->interval_s, line);
	}
	return 0;
}

/* Reads INTERVAL_S and COUNT; returns -1 for an invalid or further word. */
static int parse_words(int count, char **words, struct view *view)
{
	char *end = "";
	int bad = count > 2;

	if (count > 0) {
		view->interval_s = strtod(words[0], &end);
		/* Not "<= 0": no comparison with NaN is true. */
		bad |= *end || !(view->interval_s > 0 &&
				 view->interval_s <= INTERVAL_MAX_S);
	}
	if (count > 1) {
		view->count = strtoul(words[1], &end, 10);
		bad |= *end || !view->count;
	}
	return bad ? -1 : 0;
}

static int parse(int argc, char **argv, struct view *view)
{
	static const struct option known[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "file", required_argument, NULL, 'f' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int letter, bad = 0;

	while ((letter = getopt_long(argc, argv, "jf:Vh", known, NULL)) != -1) {
		if (letter == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (letter == 'V') {
			puts("osqstat " OSQ_VERSION);
			return 0;
		}
		if (letter == 'j')
			view->json = 1;
		else if (letter == 'f')
			view->file = optarg;
		else
			bad = 1;
	}
	if (bad || parse_words(argc - optind, argv + optind, view)) {
		fputs("osqstat: wrong usage; see osqstat --help\n", stderr);
		return 2;
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct view view = { .file = PAGE_FILE };
	int status = parse(argc, argv, &view);

	if (status >= 0)
		return status;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	return run(&view);
}
