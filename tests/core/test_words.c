// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* test_words.c - tests of the filters that users write for osqtail. */
#include <string.h>

#include "filters.h"
#include "ktap.h"

/* The words of a filter become the lists of the driver's structure. */
static void test_words_become_a_filter(void)
{
	struct osq_filter filter = { 0 }, own;

	EXPECT(!filters_has(&filter));
	EXPECT_EQ(filters_add(&filter, OSQ_FILTER_BY_UID, 1, "0,7-9"), 0);
	EXPECT_EQ(filters_add(&filter, OSQ_FILTER_BY_UID, 1, "4294967295"), 0);
	EXPECT_EQ(filters_add(&filter, OSQ_FILTER_BY_PID_NS, 0, "12"), 0);
	EXPECT_EQ(filters_add(&filter, OSQ_FILTER_BY_CGROUP, 0, "/"), 0);
	EXPECT_EQ(filters_add(&filter, OSQ_FILTER_BY_PATH, 1, "/a/"), 0);
	EXPECT_EQ(filters_add(&filter, OSQ_FILTER_BY_PATH, 1, "/"), 0);

	EXPECT_EQ(filter.exclude, OSQ_FILTER_BY_UID | OSQ_FILTER_BY_PATH);
	EXPECT_EQ(filter.uid_count, 3);
	EXPECT_EQ(filter.uids[1].first, 7);
	EXPECT_EQ(filter.uids[1].last, 9);
	EXPECT_EQ(filter.uids[2].last, ~0u);
	EXPECT_EQ(filter.pid_ns[0], 12);
	EXPECT(filter.cgroups[0] > 0);
	EXPECT_EQ(filter.paths[0].len, 2);
	EXPECT_EQ(filter.paths[1].off, 2);
	EXPECT(!memcmp(filter.bytes, "/a/", 4));
	own = filters_of(&filter, OSQ_TYPE_FORK);
	EXPECT_EQ(own.type, OSQ_TYPE_FORK);
	EXPECT_EQ(own.path_count, 0);
	EXPECT_EQ(own.exclude, OSQ_FILTER_BY_UID);
	EXPECT(filters_has(&own));
}

/* Invalid words are refused; a list may not both include and exclude. */
static void test_wrong_words_are_refused(void)
{
	static const struct {
		unsigned int by;
		const char *text;
	} wrong[] = {
		{ OSQ_FILTER_BY_UID, "" },
		{ OSQ_FILTER_BY_UID, "root" },
		{ OSQ_FILTER_BY_UID, "-1" },
		{ OSQ_FILTER_BY_UID, "9-7" },
		{ OSQ_FILTER_BY_UID, "1," },
		{ OSQ_FILTER_BY_UID, "1;2" },
		{ OSQ_FILTER_BY_UID, "1-" },
		{ OSQ_FILTER_BY_PATH, "a" },
		{ OSQ_FILTER_BY_PATH, "" },
		{ OSQ_FILTER_BY_CGROUP, "1x" },
		{ OSQ_FILTER_BY_CGROUP, "/nowhere" },
		{ OSQ_FILTER_BY_UID, "4294967296" },
		{ OSQ_FILTER_BY_PID_NS, "4294967296" },
	};
	struct osq_filter filter = { 0 };
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		memset(&filter, 0, sizeof(filter));
		EXPECT_EQ(filters_add(&filter, wrong[i].by, 0, wrong[i].text),
			  -1);
	}
	memset(&filter, 0, sizeof(filter));
	EXPECT_EQ(filters_add(&filter, OSQ_FILTER_BY_UID, 0, "1"), 0);
	EXPECT_EQ(filters_add(&filter, OSQ_FILTER_BY_UID, 1, "2"), -1);
	for (i = 1; i < OSQ_FILTER_LIST_MAX; i++)
		EXPECT_EQ(filters_add(&filter, OSQ_FILTER_BY_UID, 0, "1"), 0);
	EXPECT_EQ(filters_add(&filter, OSQ_FILTER_BY_UID, 0, "1"), -1);
	EXPECT_EQ(filter.uid_count, OSQ_FILTER_LIST_MAX);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_words_become_a_filter),
	KTAP_TEST(test_wrong_words_are_refused),
};

KTAP_MAIN(tests)
