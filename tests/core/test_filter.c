// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* test_filter.c - tests of filters: what they pass, and which are refused. */
#include <string.h>

#include "ktap.h"
#include "osq_filter.h"

#define ALL                                                                \
	(OSQ_FILTER_BY_UID | OSQ_FILTER_BY_PID_NS | OSQ_FILTER_BY_CGROUP | \
	 OSQ_FILTER_BY_PATH)

static struct osq_filter filter;

static void add_path(const char *path)
{
	struct osq_span *span = &filter.paths[filter.path_count];
	u32 len = (u32)strlen(path);

	span->off = filter.path_count ? span[-1].off + span[-1].len : 0;
	span->len = len;
	memcpy(filter.bytes + span->off, path, len);
	filter.path_count++;
}

static bool has_path(const char *path)
{
	return osq_filter_has_path(&filter, path, (u32)strlen(path));
}

/* Each of a case's four lists is absent, or has the subject or not. */
enum list {
	EMPTY,
	WITH,
	WITHOUT,
	LISTS,
};

/* Return whether a filter with lists[] passes uid 7 that runs /a/b. */
static void build(const enum list lists[4], u32 exclude)
{
	memset(&filter, 0, sizeof(filter));
	filter.exclude = exclude;
	filter.uid_count = lists[0] != EMPTY;
	filter.uids[0].first = filter.uids[0].last = lists[0] == WITH ? 7 : 8;
	filter.pid_ns_count = lists[1] != EMPTY;
	filter.cgroup_count = lists[2] != EMPTY;
	if (lists[3] != EMPTY)
		add_path(lists[3] == WITH ? "/a" : "/b");
}

/* Return the same by a simpler rule: each list on its own must agree. */
static bool expected(const enum list lists[4], u32 exclude, bool path_known)
{
	int i;

	for (i = 0; i < 4; i++) {
		if (lists[i] == EMPTY || (i == 3 && !path_known))
			continue;
		if (exclude >> i & 1 ? lists[i] == WITH : lists[i] == WITHOUT)
			return false;
	}
	return true;
}

/* Compare both for every combination of lists, exclusions and paths. */
static void test_each_list_must_agree(void)
{
	unsigned int code, wrong = 0, let_in = 0, cases = 0;

	for (code = 0; code < 81u * 16 * 2; code++) {
		enum list lists[4] = { code % 3, code / 3 % 3, code / 9 % 3,
				       code / 27 % 3 };
		u32 exclude = code / 81 % 16;
		bool path_known = code / 81 / 16;
		struct osq_subject subject = {
			.uid = 7,
			.in_pid_ns = lists[1] == WITH,
			.in_cgroup = lists[2] == WITH,
			.in_place = lists[3] == WITH,
			.path = path_known ? "/a/b" : NULL,
			.path_bytes = path_known ? 4 : 0,
		};
		bool lets;

		build(lists, exclude);
		EXPECT_EQ(osq_filter_check(&filter, ALL), 0);
		lets = osq_filter_lets(&filter, &subject);
		wrong += lets != expected(lists, exclude, path_known);
		let_in += lets;
		cases++;
	}
	EXPECT_EQ(wrong, 0);
	EXPECT_EQ(cases, 2592);
	/* There are cases of both results. */
	EXPECT(let_in > 400 && let_in < 1600);
}

/* A user with root's rights is recorded, whoever the user is. */
static void test_who_acts_as_root_is_kept_out_by_no_uid(void)
{
	struct osq_subject subject = { .uid = 7, .raised = true };
	enum list other[4] = { WITH, WITHOUT, EMPTY, EMPTY };
	enum list uid[4] = { WITH, EMPTY, EMPTY, EMPTY };

	build(uid, OSQ_FILTER_BY_UID);
	EXPECT(osq_filter_lets(&filter, &subject));
	subject.raised = false;
	EXPECT(!osq_filter_lets(&filter, &subject));
	/* The other lists keep out as ever. */
	subject.raised = true;
	build(other, OSQ_FILTER_BY_UID);
	EXPECT(!osq_filter_lets(&filter, &subject));
}

/* A process's own root may show any path: that lets in, and hides nothing. */
static void test_a_shown_path_keeps_nothing_out(void)
{
	struct osq_subject subject = {
		.uid = 7,
		.path = "/a/b",
		.path_bytes = 4,
	};
	enum list path[4] = { EMPTY, EMPTY, EMPTY, WITH };

	build(path, OSQ_FILTER_BY_PATH);
	EXPECT(osq_filter_lets(&filter, &subject));
	subject.in_place = true;
	EXPECT(!osq_filter_lets(&filter, &subject));
	build(path, 0);
	EXPECT(osq_filter_lets(&filter, &subject));
	subject.in_place = false;
	EXPECT(osq_filter_lets(&filter, &subject));
}

/* The @number'th text of up to @most letters of "/ab", or "" past the end. */
static void text_of(unsigned int number, char *text, unsigned int most)
{
	unsigned int length = 0;

	while (number && length < most) {
		text[length++] = "/ab"[--number % 3];
		number /= 3;
	}
	text[length] = 0;
}

/* Return whether @path begins with all components of @prefix. */
static bool is_below(const char *prefix, const char *path)
{
	while (*prefix == '/' && *path == '/') {
		size_t of_prefix = strcspn(prefix + 1, "/");
		size_t of_path = strcspn(path + 1, "/");

		if (!of_prefix)
			return true;
		if (of_prefix != of_path ||
		    strncmp(prefix + 1, path + 1, of_prefix) != 0)
			return false;
		prefix += 1 + of_prefix;
		path += 1 + of_path;
	}
	return !*prefix;
}

/* Return whether the kernel could write this path. */
static bool is_normal(const char *path)
{
	size_t len = strlen(path);

	return *path == '/' && !strstr(path, "//") &&
	       (len == 1 || path[len - 1] != '/');
}

/* Compare all normal paths of up to 6 letters, as prefix and as path. */
static void test_paths_are_compared_in_whole_components(void)
{
	unsigned int a, b, below = 0, wrong = 0;
	char prefix[8], path[8];

	for (a = 1; a < 1093; a++) {
		text_of(a, prefix, 6);
		if (!is_normal(prefix))
			continue;
		memset(&filter, 0, sizeof(filter));
		add_path(prefix);
		for (b = 1; b < 1093; b++) {
			text_of(b, path, 6);
			if (!is_normal(path))
				continue;
			below += has_path(path);
			wrong += has_path(path) != is_below(prefix, path);
		}
	}
	EXPECT_EQ(wrong, 0);
	EXPECT(below > 100);
}

/* The last entry of a list counts as the first does; later ones do not. */
static void test_a_list_ends_with_its_count(void)
{
	u32 i;

	memset(&filter, 0, sizeof(filter));
	for (i = 0; i < OSQ_FILTER_LIST_MAX; i++) {
		filter.uids[i].first = filter.uids[i].last = 100 + i;
		filter.pid_ns[i] = 100 + i;
		filter.cgroups[i] = (1ull << 40) + i;
	}
	filter.uid_count = OSQ_FILTER_LIST_MAX;
	filter.pid_ns_count = filter.cgroup_count = OSQ_FILTER_LIST_MAX;
	EXPECT_EQ(osq_filter_check(&filter, ALL), 0);
	EXPECT(osq_filter_has_uid(&filter, 131));
	EXPECT(osq_filter_has_pid_ns(&filter, 131));
	EXPECT(osq_filter_has_cgroup(&filter, (1ull << 40) + 31));
	EXPECT(!osq_filter_has_cgroup(&filter, 31));

	filter.uid_count--;
	filter.pid_ns_count--;
	filter.cgroup_count--;
	EXPECT(!osq_filter_has_uid(&filter, 131));
	EXPECT(!osq_filter_has_pid_ns(&filter, 131));
	EXPECT(!osq_filter_has_cgroup(&filter, (1ull << 40) + 31));
}

/* A range includes both its ends, and not the numbers next to them. */
static void test_a_range_has_its_ends(void)
{
	memset(&filter, 0, sizeof(filter));
	filter.uid_count = 1;
	filter.uids[0].first = 10;
	filter.uids[0].last = 12;

	EXPECT(!osq_filter_has_uid(&filter, 9));
	EXPECT(osq_filter_has_uid(&filter, 10));
	EXPECT(osq_filter_has_uid(&filter, 12));
	EXPECT(!osq_filter_has_uid(&filter, 13));
	filter.uids[0].last = 9;
	EXPECT_EQ(osq_filter_check(&filter, ALL), -EINVAL);
}

/* An invalid path is refused, wherever it is in the list. */
static void test_invalid_path_is_refused(void)
{
	static const struct osq_span outside[] = {
		{ 0, 0 },   { 4096, 1 }, { 4095, 2 },  { 0, 4097 },
		{ ~0u, 1 }, { 1, ~0u },	 { ~0u, ~0u },
	};
	static const char *const wrong[] = { "a", "a/b", "/a/", "//" };
	size_t i;

	memset(&filter, 0, sizeof(filter));
	add_path("/a");
	add_path("/b");
	EXPECT_EQ(osq_filter_check(&filter, ALL), 0);
	for (i = 0; i < sizeof(outside) / sizeof(*outside); i++) {
		filter.paths[1] = outside[i];
		EXPECT_EQ(osq_filter_check(&filter, ALL), -EINVAL);
	}
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		filter.path_count = 1;
		add_path(wrong[i]);
		EXPECT_EQ(osq_filter_check(&filter, ALL), -EINVAL);
	}
	filter.path_count = 1;
	add_path("/b");
	filter.bytes[3] = 0;
	EXPECT_EQ(osq_filter_check(&filter, ALL), -EINVAL);
	memset(filter.bytes, '/', sizeof(filter.bytes));
	filter.paths[1].off = OSQ_FILTER_PATH_BYTES - 1;
	filter.paths[1].len = 1;
	filter.paths[0].len = 1;
	EXPECT_EQ(osq_filter_check(&filter, ALL), 0);
}

/* A path that extends beyond the filter's bytes is refused. */
static void test_a_path_ends_within_the_filter(void)
{
	static struct {
		struct osq_filter filter;
		u8 behind[8];
	} room;

	memset(room.filter.bytes, '/', sizeof(room.filter.bytes));
	memset(room.behind, 'a', sizeof(room.behind));
	room.filter.path_count = 1;
	room.filter.paths[0].off = OSQ_FILTER_PATH_BYTES - 1;
	room.filter.paths[0].len = 1;
	EXPECT_EQ(osq_filter_check(&room.filter, ALL), 0);
	room.filter.paths[0].len = 2;
	EXPECT_EQ(osq_filter_check(&room.filter, ALL), -EINVAL);
}

/* Wrong counts, reserved fields, bits and conditions are refused. */
static void test_each_wrong_field_is_refused(void)
{
	u32 *fields[] = { &filter.uid_count, &filter.pid_ns_count,
			  &filter.cgroup_count, &filter.path_count };
	size_t i;

	memset(&filter, 0, sizeof(filter));
	EXPECT_EQ(osq_filter_check(&filter, 0), 0);
	for (i = 0; i < 4; i++) {
		*fields[i] = OSQ_FILTER_LIST_MAX + 1;
		EXPECT_EQ(osq_filter_check(&filter, ALL), -EINVAL);
		*fields[i] = 0;
		filter.exclude = 1u << i;
		EXPECT_EQ(osq_filter_check(&filter, ALL), 0);
		EXPECT_EQ(osq_filter_check(&filter, ALL & ~(1u << i)), -EINVAL);
		filter.exclude = 0;
	}
	for (i = 0; i < 3; i++) {
		*fields[i] = 1;
		EXPECT_EQ(osq_filter_check(&filter, ALL), 0);
		EXPECT_EQ(osq_filter_check(&filter, ALL & ~(1u << i)), -EINVAL);
		*fields[i] = 0;
	}
	filter.exclude = 0x10;
	EXPECT_EQ(osq_filter_check(&filter, ALL), -EINVAL);
	filter.exclude = 0;
	for (i = 0; i < 2; i++) {
		filter.reserved[i] = 1;
		EXPECT_EQ(osq_filter_check(&filter, ALL), -EINVAL);
		filter.reserved[i] = 0;
	}
	EXPECT_EQ(osq_filter_check(&filter, ALL), 0);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_each_list_must_agree),
	KTAP_TEST(test_who_acts_as_root_is_kept_out_by_no_uid),
	KTAP_TEST(test_a_shown_path_keeps_nothing_out),
	KTAP_TEST(test_paths_are_compared_in_whole_components),
	KTAP_TEST(test_a_list_ends_with_its_count),
	KTAP_TEST(test_a_range_has_its_ends),
	KTAP_TEST(test_invalid_path_is_refused),
	KTAP_TEST(test_a_path_ends_within_the_filter),
	KTAP_TEST(test_each_wrong_field_is_refused),
};

KTAP_MAIN(tests)
