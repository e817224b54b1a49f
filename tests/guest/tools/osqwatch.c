// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqwatch.c - a subscriber that cannot make up its mind.
 *
 *	osqwatch RECORDS ALWAYS SOMETIMES...
 *	osqwatch refusals
 *
 * Watches ALWAYS, and each SOMETIMES on and off as fast as it can, until
 * SIGTERM. Every record goes to the file RECORDS as a line of JSON. Prints
 * "ready", and at the end one JSON object with what was counted. "refusals"
 * makes wrong calls of WATCH instead, and prints the errno of each.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "json.h"
#include "libosq.h"

#define RING_BYTES (32u << 20)

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static int drain(struct osq_client *client, FILE *records)
{
	const struct osq_record *record;
	int got, err = osq_client_sync(client, 0);

	if (err)
		return err;
	while ((got = osq_client_next(client, &record)) == 1)
		if (json_record(records, record))
			return -EBADMSG;
	return got;
}

/* Toggle one after the other until told to end. Returns how often, or less. */
static long toggle(struct osq_client *client, FILE *records, char **paths,
		   int count)
{
	long turns = 0;
	int err = 0;

	while (!err && !ended) {
		__u64 actions = turns / count % 2 ? 0 : OSQ_FILE_OPT_ALL;

		err = osq_client_watch(client, paths[turns % count], actions);
		if (!err)
			err = drain(client, records);
		turns++;
	}
	return err ? err : turns;
}

static long run(struct osq_client *client, FILE *records, char **paths,
		int count)
{
	long turns;
	int err = osq_client_subscribe(client, OSQ_TYPE_FILE, 1, 0);

	if (!err)
		err = osq_client_watch(client, paths[0], OSQ_FILE_OPT_ALL);
	if (err)
		return err;
	puts("ready");
	fflush(stdout);
	turns = toggle(client, records, paths + 1, count - 1);
	err = osq_client_subscribe(client, OSQ_TYPE_FILE, 0, 0);
	if (!err)
		err = drain(client, records);
	return err ? err : turns;
}

static int first = 1;

static void note(const char *what, int err)
{
	printf("%s\"%s\":%d", first ? "{" : ",", what, -err);
	first = 0;
	fflush(stdout);
}

/* A call as it is; libosq would not make some of them. */
static void order(int fd, const char *what, unsigned int on, __u64 actions,
		  const char *path, size_t bytes)
{
	struct osq_watch watch = {
		.on = on,
		.path_bytes = (__u32)bytes,
		.actions = actions,
	};

	memcpy(watch.path, path,
	       bytes < sizeof(watch.path) ? bytes : sizeof(watch.path));
	note(what, ioctl(fd, OSQ_IOC_WATCH, &watch) ? -errno : 0);
}

static void refuse_arguments(int fd)
{
	const __u64 all = OSQ_FILE_OPT_ALL;
	char path[OSQ_WATCH_PATH_BYTES];
	size_t i;

	order(fd, "relative", 1, all, "etc", 3);
	order(fd, "empty", 1, all, "", 0);
	order(fd, "empty_component", 1, all, "/a//b", 5);
	order(fd, "slash_at_the_end", 1, all, "/etc/", 5);
	order(fd, "dot", 1, all, "/etc/./a", 8);
	order(fd, "dots", 1, all, "/etc/..", 7);
	order(fd, "nul", 1, all, "/e\0c", 4);
	order(fd, "no_action", 1, 0, "/etc", 4);
	order(fd, "unknown_action", 1, all + 1, "/etc", 4);
	order(fd, "on_is_2", 2, all, "/etc", 4);
	order(fd, "off_with_actions", 0, all, "/etc", 4);
	order(fd, "off_what_is_not_on", 0, 0, "/etc", 4);
	order(fd, "below_a_file", 1, all, "/etc/passwd/a", 13);
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	order(fd, "long_name", 1, all, path, 300);
	for (i = 0; i < sizeof(path); i += 256)
		path[i] = '/';
	order(fd, "too_long", 1, all, path, sizeof(path));
	order(fd, "longest", 1, all, path, sizeof(path) - 1);
	order(fd, "longest_off", 0, 0, path, sizeof(path) - 1);
	note("null", ioctl(fd, OSQ_IOC_WATCH, NULL) ? -errno : 0);
}

static void refuse_too_many(struct osq_client *client)
{
	char path[32];
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < OSQ_WATCH_MAX; i++) {
		snprintf(path, sizeof(path), "/osq-nothing-%u", i);
		err = osq_client_watch(client, path, OSQ_FILE_OPT_ALL);
	}
	note("as_many_as_fit", err);
	note("one_more", osq_client_watch(client, "/etc", OSQ_FILE_OPT_ALL));
	note("one_again", osq_client_watch(client, path, OSQ_FILE_OPT_ALL));
	note("one_less", osq_client_watch(client, path, 0));
	note("one_instead", osq_client_watch(client, "/etc", OSQ_FILE_OPT_ALL));
}

/* Watches end with the subscription, and with the queue. */
static void refuse_afterwards(struct osq_client *client)
{
	struct osq_version version;
	const __u64 all = OSQ_FILE_OPT_ALL;
	int status;

	osq_client_subscribe(client, OSQ_TYPE_FILE, 0, 0);
	note("unsubscribed", osq_client_watch(client, "/etc", all));
	osq_client_subscribe(client, OSQ_TYPE_FILE, 1, 0);
	note("forgotten", osq_client_watch(client, "/etc", 0));
	note("again", osq_client_watch(client, "/etc", all));
	if (fork() == 0)
		_exit(!ioctl(client->fd, OSQ_IOC_VERSION, &version));
	wait(&status);
	note("invalid", osq_client_watch(client, "/etc", all));
	osq_client_allocate(client, RING_BYTES);
	note("allocated_again", osq_client_watch(client, "/etc", all));
}

static int refusals(void)
{
	struct osq_client client = { .fd = open(OSQ_DEVICE, O_RDWR) };
	const __u64 all = OSQ_FILE_OPT_ALL;

	if (client.fd < 0)
		return 1;
	note("before_allocate", osq_client_watch(&client, "/etc", all));
	osq_client_allocate(&client, RING_BYTES);
	note("before_subscribe", osq_client_watch(&client, "/etc", all));
	osq_client_subscribe(&client, OSQ_TYPE_FILE, 1, 0);
	refuse_arguments(client.fd);
	refuse_too_many(&client);
	refuse_afterwards(&client);
	puts("}");
	osq_client_close(&client);
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct osq_client client;
	FILE *records;
	long turns;
	int err;

	if (argc == 2 && !strcmp(argv[1], "refusals"))
		return refusals();
	if (argc < 4)
		return 2;
	sigaction(SIGTERM, &action, NULL);
	records = fopen(argv[1], "we");
	err = records ? osq_client_open(&client, NULL, RING_BYTES) : -errno;
	if (err) {
		fprintf(stderr, "osqwatch: %s\n", strerror(-err));
		return 1;
	}
	turns = run(&client, records, argv + 2, argc - 2);
	printf("{\"turns\":%ld,\"dropped\":%llu,\"law_holds\":%s}\n", turns,
	       (unsigned long long)client.stats.dropped[OSQ_DROP_FULL] +
		       client.stats.dropped[OSQ_DROP_NESTED],
	       osq_client_broken_law(&client.stats) ? "false" : "true");
	osq_client_close(&client);
	return fclose(records) || turns < 0;
}
