// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqheld.c - programs run before, while and after the test build holds every
 * buffer that a record is encoded in; prints, as JSON, what was counted.
 *
 *	osqheld COUNT	of programs each time
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libosq.h"
#include "osq_test.h"

#define USER 4242 /* nobody else is it, and the filter lets in no other */

static struct osq_client client;

static void must(const char *what, int err)
{
	if (!err)
		return;
	printf("{\"fault\":\"%s: %s\"}\n", what, strerror(-err));
	exit(1);
}

static void run(unsigned int count)
{
	int status;

	while (count--) {
		pid_t pid = fork();

		if (!pid) {
			if (!setgid(USER) && !setuid(USER))
				execl("/bin/true", "true", NULL);
			_exit(1);
		}
		must("run",
		     waitpid(pid, &status, 0) == pid && !status ? 0 : -1);
	}
}

/* Records since the last call, by type; what a LOST one says was lost. */
static void say(const char *when)
{
	unsigned int execs = 0, losses = 0;
	const struct osq_record *record;
	unsigned long long lost = 0;
	int got;

	must("sync", osq_client_sync(&client, 0));
	while ((got = osq_client_next(&client, &record)) > 0) {
		const struct osq_lost *one = (const void *)record;

		execs += record->type == OSQ_TYPE_EXEC;
		losses += record->type == OSQ_TYPE_LOST;
		if (record->type == OSQ_TYPE_LOST)
			lost += one->dropped[OSQ_DROP_NESTED];
	}
	must("next", got);
	must("sync", osq_client_sync(&client, 0));
	if (osq_client_broken_law(&client.stats))
		must(osq_client_broken_law(&client.stats), -1);
	printf(",\"%s\":{\"execs\":%u,\"losses\":%u,\"lost\":%llu,\"nested\":%"
	       "llu}",
	       when, execs, losses, lost,
	       (unsigned long long)client.stats.dropped[OSQ_DROP_NESTED]);
}

static void begin(void)
{
	static const struct osq_filter filter = {
		.type = OSQ_TYPE_EXEC,
		.uid_count = 1,
		.uids = { { USER, USER } },
	};

	must("open", osq_client_open(&client, NULL, 1 << 18));
	must("subscribe", osq_client_subscribe(&client, OSQ_TYPE_EXEC, 1, 0));
	must("filter", osq_client_filter(&client, &filter));
}

static void hold(int on)
{
	__u64 options = on ? OSQ_TEST_OPT_HOLD : 0;

	must("hold", osq_client_subscribe(&client, OSQ_TYPE_TEST, 1, options));
}

int main(int argc, char **argv)
{
	unsigned int count = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;

	begin();
	printf("{\"fault\":\"\"");
	run(count);
	say("before");
	hold(1);
	run(count);
	say("held");
	hold(0);
	run(count);
	say("after");
	/* The next owner finds what this one held. */
	hold(1);
	osq_client_close(&client);
	begin();
	run(count);
	say("again");
	osq_client_close(&client);
	printf("}\n");
	return 0;
}
