/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ktap.h - count checks and print one KTAP result a test. */
#ifndef OSQ_TEST_KTAP_H
#define OSQ_TEST_KTAP_H

#include <stdio.h>

static int ktap_failures; /* of the test that runs */
static int ktap_bad; /* tests that failed */
static int ktap_count;

#define CHECK(condition)                                            \
	do {                                                        \
		if (!(condition)) {                                 \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, \
			       #condition);                         \
			ktap_failures++;                            \
		}                                                   \
	} while (0)

#define RUN(test) ktap_run(#test, test)

static inline void ktap_run(const char *name, void (*test)(void))
{
	ktap_failures = 0;
	test();
	printf("%s %d %s\n", ktap_failures ? "not ok" : "ok", ++ktap_count,
	       name);
	ktap_bad += ktap_failures != 0;
}

#endif
