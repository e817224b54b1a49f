// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqmiss.c - have the test build's credential publisher miss N calls, and
 * print what its counters say of them, as JSON.
 *
 *	osqmiss N	asked by SYNC, by STATS, and after the subscription
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libosq.h"
#include "osq_test.h"

static struct osq_client client;

static void must(const char *what, int err)
{
	if (!err)
		return;
	printf("{\"fault\":\"%s: %s\"}\n", what, strerror(-err));
	exit(1);
}

static void miss(unsigned int count)
{
	must("miss", ioctl(client.fd, OSQ_IOC_TEST_MISS, &count) ? -1 : 0);
}

/* What SYNC counts as missed. */
static unsigned long long missed(void)
{
	must("sync", osq_client_sync(&client, 0));
	if (osq_client_broken_law(&client.stats))
		must(osq_client_broken_law(&client.stats), -1);
	return client.stats.dropped[OSQ_DROP_MISSED];
}

int main(int argc, char **argv)
{
	unsigned int count = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;
	struct osq_stats stats;

	must("open", osq_client_open(&client, NULL, 1 << 16));
	must("subscribe", osq_client_subscribe(&client, OSQ_TYPE_CRED, 1, 0));
	printf("{\"fault\":\"\",\"before\":%llu", missed());
	miss(count);
	printf(",\"sync\":%llu", missed());
	miss(count);
	must("stats", osq_client_stats(&client, &stats));
	printf(",\"stats\":%llu", (unsigned long long)stats.type[OSQ_TYPE_CRED]
					  .dropped[OSQ_DROP_MISSED]);
	miss(count);
	must("unsubscribe", osq_client_subscribe(&client, OSQ_TYPE_CRED, 0, 0));
	miss(count);
	printf(",\"after\":%llu}\n", missed());
	osq_client_close(&client);
	return 0;
}
