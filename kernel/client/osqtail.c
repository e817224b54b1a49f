// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* osqtail.c - print the records of /dev/osquery as JSON Lines. */
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "filters.h"
#include "json.h"
#include "libosq.h"
#include "options.h"

static uint64_t options_of(unsigned int type, const struct options *options)
{
	if (type == OSQ_TYPE_EXEC && options->env)
		return OSQ_EXEC_ENV;
	if (type == OSQ_TYPE_SOCKET)
		return options->socket_options;
	if (type == OSQ_TYPE_FORK && options->processes)
		return OSQ_FORK_PROCESSES;
	if (type == OSQ_TYPE_EXIT && options->processes)
		return OSQ_EXIT_PROCESSES;
	return type == OSQ_TYPE_FILE ? options->file_actions : 0;
}

/*
 * Filters are set before the first subscription, so that no other record is
 * made.
 */
static int filter_all(struct osq_client *client, const struct options *options)
{
	unsigned int type;
	int err = 0;

	for (type = 0; !err && type < OSQ_TYPE_COUNT; type++) {
		struct osq_filter filter = filters_of(&options->filter, type);

		if (!(options->types >> type & 1) || !filters_has(&filter))
			continue;
		err = osq_client_filter(client, &filter);
		if (err == -EINVAL)
			fprintf(stderr,
				"osqtail: %s has no such filter, or a path is "
				"not as it should be\n",
				json_type_name(type));
	}
	return err;
}

static int share_all(struct osq_client *client, const struct options *options)
{
	unsigned int type;
	int err = 0;

	for (type = 0; !err && type < OSQ_TYPE_COUNT; type++)
		if (options->shares[type])
			err = osq_client_share(client, type,
					       options->shares[type]);
	return err;
}

/* Switch every wanted type on or off; stops at the first that fails. */
static int subscribe_all(struct osq_client *client,
			 const struct options *options, int on)
{
	unsigned int type;
	int err = 0;

	for (type = 0; !err && type < OSQ_TYPE_COUNT; type++) {
		if (options->types >> type & 1)
			err = osq_client_subscribe(
				client, type, on,
				on ? options_of(type, options) : 0);
		if (err == -EOPNOTSUPP)
			fprintf(stderr,
				"osqtail: this kernel has no hook for %s\n",
				json_type_name(type));
	}
	return err;
}

/* Watch every requested path; stop at the first that the driver refuses. */
static int watch_all(struct osq_client *client, const struct options *options)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < options->watch_count; i++) {
		err = osq_client_watch(client, options->watches[i],
				       options->file_actions
					       ? options->file_actions
					       : OSQ_FILE_OPT_ALL);
		if (err)
			fprintf(stderr, "osqtail: --watch %s: %s%s\n",
				options->watches[i], strerror(-err),
				err == -EINVAL ? " (absolute, without ., .. "
						 "and a slash at the end)"
					       : "");
	}
	return err;
}

static int span_matches(const struct osq_record *record,
			const struct osq_span *span, const char *pattern)
{
	const char *bytes = osq_client_bytes(record, span);
	char path[2 * PATH_MAX];

	if (!bytes || span->len >= sizeof(path))
		return 0;
	memcpy(path, bytes, span->len);
	path[span->len] = 0;
	return !fnmatch(pattern, path, 0);
}

static int path_matches(const struct osq_record *record, const char *pattern)
{
	const struct osq_exec *exec = (const struct osq_exec *)record;
	const struct osq_file *file = (const struct osq_file *)record;

	if (record->type == OSQ_TYPE_EXEC && record->len >= sizeof(*exec))
		return span_matches(record, &exec->path, pattern);
	if (record->type == OSQ_TYPE_FILE && record->len >= sizeof(*file))
		return span_matches(record, &file->path, pattern) ||
		       span_matches(record, &file->dest_path, pattern);
	return 0;
}

/*
 * A LOST record is always printed, because it may report records of any type.
 */
static int is_wanted(const struct osq_record *record,
		     const struct options *options)
{
	if (record->type == OSQ_TYPE_LOST)
		return 1;
	if (options->pid && record->pid != options->pid)
		return 0;
	return !options->path || path_matches(record, options->path);
}

/* Returns the number of printed records, or a negative errno. */
static long long print_batch(struct osq_client *client,
			     const struct options *options,
			     unsigned long long most)
{
	const struct osq_record *record;
	unsigned long long printed = 0;
	int got = 1;

	while (printed < most) {
		got = osq_client_next(client, &record);
		if (got <= 0)
			break;
		if (!is_wanted(record, options))
			continue;
		if (options->line_bytes
			    ? json_record_within(stdout, record,
						 options->line_bytes)
			    : json_record(stdout, record))
			return -EBADMSG;
		printed++;
	}
	if (fflush(stdout))
		return -EIO;
	return got < 0 ? got : (long long)printed;
}

/*
 * Wait for records or a signal. Returns 1 when the program has to end: after a
 * signal, or after @idle_ms without a record.
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
		/* No record comes after this, so one more sync has them all. */
		if (last) {
			err = subscribe_all(client, options, 0);
			if (err)
				return err;
		}
		err = osq_client_sync(client, 0);
		printed = err ? err : print_batch(client, options, left);
		if (printed < 0)
			return (int)printed;
		left -= (unsigned long long)printed;
	} while (left && !last);
	/* This sync makes the kernel count the printed records as consumed. */
	return osq_client_sync(client, 0);
}

static int begin(struct osq_client *client, const struct options *options)
{
	int err = 0;

	if (options->watermark)
		err = osq_client_notify(client, (uint32_t)options->watermark,
					(uint32_t)options->latency_ms);
	if (!err)
		err = share_all(client, options);
	if (!err)
		err = filter_all(client, options);
	if (!err)
		err = subscribe_all(client, options, 1);
	return err ? err : watch_all(client, options);
}

static int run(struct osq_client *client, const struct options *options,
	       int signals)
{
	const char *broken;
	int err = begin(client, options);

	/* The owner of the open device needs no rights any more. */
	if (!err)
		err = osq_client_give_up_rights();
	if (err)
		return err;
	printf("{\"type\":\"ready\",\"abi\":%u,\"schema\":%d,\"ring_bytes\":%"
	       "llu}\n",
	       OSQ_ABI_VERSION, OSQ_SCHEMA_VERSION, options->ring_bytes);
	fflush(stdout);
	err = follow(client, options, signals);
	if (!err && options->stats)
		json_stats(stdout, &client->stats);
	if (!err && fflush(stdout))
		err = -EIO;
	broken = err ? NULL : osq_client_broken_law(&client->stats);
	if (broken) {
		fprintf(stderr, "osqtail: the counters do not add up: %s\n",
			broken);
		return -EPROTO;
	}
	return err;
}

static const char *hint(int err)
{
	switch (err) {
	case -ENOENT:
		return " (is the module loaded?)";
	case -EACCES:
	case -EPERM:
		return " (root with CAP_SYS_ADMIN is needed)";
	case -EBUSY:
		return " (another process reads it; osqstat shows its "
		       "counters)";
	case -EPROTO:
		return " (driver and client are of different versions)";
	default:
		return "";
	}
}

int main(int argc, char **argv)
{
	struct options options;
	struct osq_client client;
	sigset_t ends;
	int signals;
	int err = options_parse(argc, argv, &options);

	if (err >= 0)
		return err;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	/* As readable data, a signal cannot come between a check and poll(). */
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signals = signalfd(-1, &ends, SFD_CLOEXEC);
	err = osq_client_open(&client, options.device, options.ring_bytes);
	if (!err) {
		err = run(&client, &options, signals);
		osq_client_close(&client);
	}
	close(signals);
	if (err)
		fprintf(stderr, "osqtail: %s: %s%s\n", options.device,
			strerror(-err), hint(err));
	return err ? 1 : 0;
}
