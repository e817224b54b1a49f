/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ktap.h - run the tests of one program and print KTAP 1. */
#ifndef KTAP_H
#define KTAP_H

#include <stdio.h>

struct ktap_test {
	const char *name;
	void (*run)(void);
};

#define KTAP_TEST(function) { #function, function }

static int ktap_failures; /* of the test that runs */

#define EXPECT(condition)                                           \
	do {                                                        \
		if (!(condition)) {                                 \
			ktap_failures++;                            \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, \
			       #condition);                         \
		}                                                   \
	} while (0)

#define EXPECT_EQ(got, wanted)                                              \
	do {                                                                \
		long long got_ = (long long)(got);                          \
		long long wanted_ = (long long)(wanted);                    \
                                                                            \
		if (got_ != wanted_) {                                      \
			ktap_failures++;                                    \
			printf("# %s:%d: %s is %lld, not %lld\n", __FILE__, \
			       __LINE__, #got, got_, wanted_);              \
		}                                                           \
	} while (0)

/* Returns the exit status: 0 when all passed. */
static inline int ktap_run(const struct ktap_test *tests, size_t count)
{
	int failed = 0;
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..%zu\n", count);
	for (i = 0; i < count; i++) {
		ktap_failures = 0;
		tests[i].run();
		failed += ktap_failures != 0;
		printf("%s %zu %s\n", ktap_failures ? "not ok" : "ok", i + 1,
		       tests[i].name);
	}
	return failed != 0;
}

#define KTAP_MAIN(tests)                                                  \
	int main(void)                                                    \
	{                                                                 \
		return ktap_run(tests, sizeof(tests) / sizeof(*(tests))); \
	}

#endif
