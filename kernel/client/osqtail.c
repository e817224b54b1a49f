// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* osqtail.c - print the records of /dev/osquery as JSON Lines. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "json.h"
#include "libosq.h"

static const char help[] =
	"usage: osqtail [OPTION]...\n"
	"Print what the osq driver records, one JSON object a line.\n"
	"\n"
	"  -c, --count N        end after N records\n"
	"  -i, --idle-exit-ms N end when no record came for N milliseconds\n"
	"  -r, --ring-bytes N   size of the ring, a power of two from 8192 to\n"
	"                       67108864 (default: 1048576)\n"
	"  -t, --type NAME      record exec, fork or exit; may be repeated\n"
	"                       (default: exec)\n"
	"  -s, --stats          at the end, print one line of type \"stats\"\n"
	"  -h, --help           this text\n"
	"\n"
	"The first line has type \"ready\": from then on nothing is missed "
	"but\n"
	"what the stats count as dropped; the first record after a drop has\n"
	"type \"lost\" and says what was. SIGINT and SIGTERM end it after "
	"what\n"
	"is in the ring has been printed.\n"
	"\n"
	"A byte of a path or an argument that is no UTF-8 is printed as "
	"\\udcXX,\n"
	"as Python's surrogateescape has it.\n"
	"\n"
	"exit status: 0 ended as asked; 1 the driver refused, the counters do\n"
	"not add up, or the output cannot be written; 2 wrong usage.\n";

struct options {
	unsigned long long count;
	unsigned long long ring_bytes;
	unsigned long long idle_ms; /* 0: for ever */
	unsigned int types; /* bit n: type n */
	int stats;
};

static int parse_number(const char *text, unsigned long long *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 0);
	return errno || end == text || *end ? -1 : 0;
}

static int parse_type(const char *name, unsigned int *types)
{
	static const struct {
		const char *name;
		unsigned int type;
	} known[] = {
		{ "exec", OSQ_TYPE_EXEC },
		{ "fork", OSQ_TYPE_FORK },
		{ "exit", OSQ_TYPE_EXIT },
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(name, known[i].name)) {
			*types |= 1u << known[i].type;
			return 0;
		}
	return -1;
}

/* Switch every wanted type on or off; stops at the first that fails. */
static int subscribe_all(struct osq_client *client, unsigned int types, int on)
{
	unsigned int type;
	int err = 0;

	for (type = 0; !err && type < 32; type++)
		if (types & 1u << type)
			err = osq_client_subscribe(client, type, on);
	return err;
}

/* Returns -1 to go on, else the status to exit with. */
static int parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "count", required_argument, NULL, 'c' },
		{ "idle-exit-ms", required_argument, NULL, 'i' },
		{ "ring-bytes", required_argument, NULL, 'r' },
		{ "type", required_argument, NULL, 't' },
		{ "stats", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int letter, bad = 0;

	while ((letter = getopt_long(argc, argv, "c:i:r:t:sh", known, NULL)) !=
	       -1) {
		if (letter == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (letter == 'c')
			bad |= parse_number(optarg, &options->count);
		else if (letter == 'i')
			bad |= parse_number(optarg, &options->idle_ms);
		else if (letter == 'r')
			bad |= parse_number(optarg, &options->ring_bytes);
		else if (letter == 't')
			bad |= parse_type(optarg, &options->types);
		else if (letter == 's')
			options->stats = 1;
		else
			bad = 1;
	}
	if (!options->types)
		options->types = 1u << OSQ_TYPE_EXEC;
	if (bad || optind != argc || options->idle_ms > INT_MAX) {
		fputs("osqtail: wrong usage; see osqtail --help\n", stderr);
		return 2;
	}
	return -1;
}

/* Returns how many records were printed, or a negative errno. */
static long long print_batch(struct osq_client *client, unsigned long long most)
{
	const struct osq_record *record;
	unsigned long long printed = 0;
	int got = 1;

	while (printed < most) {
		got = osq_client_next(client, &record);
		if (got <= 0)
			break;
		if (json_record(stdout, record))
			return -EBADMSG;
		printed++;
	}
	if (fflush(stdout))
		return -EIO;
	return got < 0 ? got : (long long)printed;
}

/*
 * Wait for records or a signal. Returns 1 when it is time to end: on a
 * signal, or after @idle_ms of nothing.
 */
static int wait_for_more(const struct osq_client *client, int signals,
			 unsigned long long idle_ms)
{
	struct pollfd ready[] = {
		{ .fd = client->fd, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	int count = poll(ready, 2, idle_ms ? (int)idle_ms : -1);

	if (count < 0)
		return -errno;
	return count == 0 || ready[1].revents != 0;
}

static int follow(struct osq_client *client, const struct options *options,
		  int signals)
{
	unsigned long long left = options->count ? options->count : ~0ull;
	long long printed;
	int err, last = 0;

	do {
		last = wait_for_more(client, signals, options->idle_ms);
		if (last < 0)
			return last;
		if (last) {
			err = subscribe_all(client, options->types, 0);
			if (err)
				return err;
		}
		err = osq_client_sync(client, 0);
		printed = err ? err : print_batch(client, left);
		if (printed < 0)
			return (int)printed;
		left -= (unsigned long long)printed;
	} while (left && !last);
	/* What was printed is to be counted as consumed. */
	return osq_client_sync(client, 0);
}

static int run(struct osq_client *client, const struct options *options,
	       int signals)
{
	int err = subscribe_all(client, options->types, 1);

	if (err)
		return err;
	printf("{\"type\":\"ready\",\"abi\":%d,\"schema\":%d,\"ring_bytes\":%"
	       "llu}\n",
	       OSQ_ABI_VERSION, OSQ_SCHEMA_VERSION, options->ring_bytes);
	fflush(stdout);
	err = follow(client, options, signals);
	if (!err && options->stats)
		json_stats(stdout, &client->stats);
	if (!err && fflush(stdout))
		err = -EIO;
	if (!err && !osq_client_law_holds(&client->stats)) {
		fputs("osqtail: the driver's counters do not add up\n", stderr);
		return -EPROTO;
	}
	return err;
}

int main(int argc, char **argv)
{
	struct options options = { .ring_bytes = 1u << 20 };
	struct osq_client client;
	sigset_t ends;
	int signals;
	int err = parse(argc, argv, &options);

	if (err >= 0)
		return err;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signals = signalfd(-1, &ends, SFD_CLOEXEC);
	err = osq_client_open(&client, options.ring_bytes);
	if (!err) {
		err = run(&client, &options, signals);
		osq_client_close(&client);
	}
	close(signals);
	if (err)
		fprintf(stderr, "osqtail: %s: %s\n", OSQ_DEVICE,
			strerror(-err));
	return err ? 1 : 0;
}
