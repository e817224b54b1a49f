// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* test_watch.c - tests of paths and watches; all small cases are tested. */
#include <stdlib.h>

#include "ktap.h"
#include "watch_oracle.h"

static struct osq_path path_of(const char *text)
{
	return (struct osq_path){ .bytes = text, .len = (u32)strlen(text) };
}

/* Return a watch of @place, which its owner named @shown. */
static struct osq_watched *watch_as(const char *place, const char *shown,
				    u64 fs, u64 actions)
{
	struct osq_view path = { .place = path_of(place),
				 .shown = path_of(shown) };
	struct osq_view mount = { .place = path_of(""), .shown = path_of("") };
	struct osq_watched *watched =
		osq_watched_create(actions, &path, &mount);

	watched->fs = fs;
	return watched;
}

/* Return the table with one more watch; the old table is freed. */
static struct osq_watches *with(struct osq_watches *old,
				struct osq_watched *watched)
{
	struct osq_watches *watches = osq_watches_replace(old, NULL, watched);

	osq_os_free(old);
	return watches;
}

static void destroy(struct osq_watches *watches)
{
	u32 i;

	for (i = 0; i < watches->count; i++)
		osq_watched_destroy(watches->watched[i]);
	osq_os_free(watches);
}

/* Return text @number of @len letters, in memory of exactly its size. */
static char *text_of(u32 number, u32 len, const char *letters)
{
	u32 base = (u32)strlen(letters) + 1; /* the NUL is a letter, too */
	char *text = malloc(len ? len : 1);
	u32 i;

	for (i = 0; i < len; i++, number /= base)
		text[i] = letters[number % base];
	return text;
}

#define LONGEST 7

/* Mark each path of the grammar that begins with @text. */
static u32 generate(char *text, u32 len, bool *proper, const char *letters)
{
	u32 base = (u32)strlen(letters) + 1;
	u32 made = 0, end, i;

	for (end = len + 2; end <= LONGEST; end++) {
		u32 count = 1, number;

		for (i = len + 1; i < end; i++)
			count *= base - 2;
		/* The first letter, the slash, is in no name. */
		for (number = 0; number < count; number++) {
			u32 rest = number, place = 1, index = 0;

			text[len] = '/';
			for (i = len + 1; i < end; i++, rest /= base - 2)
				text[i] = letters[1 + rest % (base - 2)];
			if ((end - len == 2 && text[len + 1] == '.') ||
			    (end - len == 3 && text[len + 1] == '.' &&
			     text[len + 2] == '.'))
				continue;
			for (i = 0; i < end; i++, place *= base)
				index +=
					place * (u32)(strchr(letters, text[i]) -
						      letters);
			proper[index * (LONGEST + 1) + end] = true;
			made += 1 + generate(text, end, proper, letters);
		}
	}
	return made;
}

/* Of all texts of up to seven bytes, exactly the grammar's are paths. */
static void test_exactly_the_paths_of_the_grammar_are_accepted(void)
{
	static const char letters[] = "/a.";
	static bool proper[16384 * (LONGEST + 1)];
	char text[LONGEST];
	u32 accepted = 0, count = 1, len, number;
	u32 made = generate(text, 0, proper, letters);

	for (len = 0; len <= LONGEST; len++, count *= 4)
		for (number = 0; number < count; number++) {
			char *one = text_of(number, len, letters);
			bool is = osq_path_is_proper(one, len);
			bool root = len == 1 && *one == '/';

			if (is !=
			    (root || proper[number * (LONGEST + 1) + len]))
				EXPECT_EQ(number, -(long long)len);
			accepted += is;
			free(one);
		}

	EXPECT_EQ(accepted, made + 1);
	EXPECT(made > 100);
}

#define PATHS 259

/* Make every path of up to three names of "a", "b", "ab"..., and the root. */
static u32 all_paths(struct osq_path *paths)
{
	static const char *const names[] = { "/a",  "/b",  "/ab",
					     "/aa", "/ba", "/." };
	u32 count = 1, from = 0, level, i, n;

	paths[0] = (struct osq_path){ .bytes = strdup(""), .len = 0 };
	for (level = 0; level < 3; level++) {
		u32 end = count;

		for (i = from; i < end; i++)
			for (n = 0; n < sizeof(names) / sizeof(*names); n++) {
				char text[16];

				snprintf(text, sizeof(text), "%.*s%s",
					 (int)paths[i].len, paths[i].bytes,
					 names[n]);
				paths[count].len = (u32)strlen(text);
				/* No NUL: no function may need one. */
				paths[count].bytes =
					memcpy(malloc(strlen(text)), text,
					       strlen(text));
				count++;
			}
		from = end;
	}
	return count;
}

static void free_paths(struct osq_path *paths, u32 count)
{
	while (count--)
		free((void *)paths[count].bytes);
}

/* Of each pair of 259 paths, one covers the other by whole components. */
static void test_a_path_covers_on_whole_components(void)
{
	static struct osq_path paths[PATHS];
	u32 count = all_paths(paths);
	u32 covered = 0, i, j;

	EXPECT_EQ(count, PATHS);
	for (i = 0; i < count; i++)
		for (j = 0; j < count; j++) {
			bool is = osq_path_covers(&paths[i], &paths[j]);

			if (is != oracle_covers(&paths[i], &paths[j]))
				EXPECT_EQ(i, -(long long)j);
			covered += is;
		}

	/* The root 259, six of one name 43 each, 36 of two 7, the rest 1. */
	EXPECT_EQ(covered, 259 + 6 * 43 + 36 * 7 + 216);
	free_paths(paths, count);
}

/* A watch is found below a path just when the oracle knows one. */
static bool is_below_right(const struct osq_watches *watches, u64 fs,
			   u64 actions, const struct osq_path *path)
{
	const struct osq_watched *got =
		osq_watches_below(watches, fs, actions, path);
	bool has = false;
	u32 i;

	for (i = 0; i < watches->count; i++)
		has = has ||
		      (watches->watched[i]->fs == fs &&
		       watches->watched[i]->actions & actions &&
		       oracle_covers(path, &watches->watched[i]->path.place));
	return !!got == has &&
	       (!got || (got->fs == fs && got->actions & actions &&
			 oracle_covers(path, &got->path.place)));
}

/* Compare the answer for each path with the oracle's. */
static u32 compare(const struct osq_watches *watches,
		   const struct osq_path *paths, u32 count)
{
	u32 wrong = 0, i;
	u64 fs, actions;

	for (i = 0; i < count; i++)
		for (fs = 1; fs <= 2; fs++)
			for (actions = 1; actions <= 3; actions++) {
				const struct osq_watched *got =
					osq_watches_match(watches, fs, actions,
							  &paths[i]);
				int depth = oracle_depth(watches->watched,
							 watches->count, fs,
							 actions, &paths[i]);

				wrong += (got ? (int)got->depth : -1) != depth;
				wrong += got && !oracle_covers(&got->path.place,
							       &paths[i]);
				wrong += got && !(got->actions & actions);
				wrong += !is_below_right(watches, fs, actions,
							 &paths[i]);
			}
	return wrong;
}

/* Of any three watches in any order, the closest one decides. */
static void test_the_closest_watch_decides(void)
{
	static const char *const places[] = { "", "/a", "/a/b", "/ab",
					      "/a/ab" };
	static struct osq_path paths[PATHS];
	u32 count = all_paths(paths);
	u32 number, wrong = 0;

	/* 5 places, 3 sets of actions and 2 systems for each of three. */
	for (number = 0; number < 30 * 30 * 30; number++) {
		struct osq_watches *watches = NULL;
		u32 rest = number, i;

		for (i = 0; i < 3; i++, rest /= 30)
			watches = with(watches,
				       watch_as(places[rest % 5], "/shown",
						1 + rest / 5 % 2,
						1 + rest / 10 % 3));
		wrong += compare(watches, paths, count / 6 + 1);
		destroy(watches);
	}

	EXPECT_EQ(wrong, 0);
	free_paths(paths, count);
}

/* Replacing makes a new table and leaves the old one unchanged. */
static void test_replace_leaves_the_old_table_alone(void)
{
	struct osq_watched *a = watch_as("/a", "/x", 1, 1);
	struct osq_watched *b = watch_as("/a/b", "/y", 1, 1);
	struct osq_watched *c = watch_as("/c", "/z", 1, 1);
	struct osq_watches *old = with(with(NULL, a), b);
	struct osq_watches *next = osq_watches_replace(old, a, c);
	struct osq_watches *last = osq_watches_replace(next, b, NULL);

	EXPECT_EQ(old->count, 2);
	EXPECT(old->watched[0] == b && old->watched[1] == a);
	EXPECT_EQ(next->count, 2);
	EXPECT(next->watched[0] == b && next->watched[1] == c);
	EXPECT_EQ(last->count, 1);
	EXPECT(last->watched[0] == c);
	destroy(old);
	osq_os_free(next);
	destroy(last);
}

/* A watch is found only by the name that its owner gave it. */
static void test_a_watch_is_found_by_its_shown_name(void)
{
	struct osq_path x = path_of("/x"), y = path_of("/x/y");
	struct osq_path root = path_of("");
	struct osq_watches *watches =
		with(with(NULL, watch_as("/a", "/x", 1, 1)),
		     watch_as("/a", "", 2, 1));

	EXPECT(osq_watches_find(watches, &x) == watches->watched[0]);
	EXPECT(osq_watches_find(watches, &root) == watches->watched[1]);
	EXPECT(!osq_watches_find(watches, &y));
	EXPECT(!osq_watches_find(NULL, &x));
	EXPECT(osq_watches_want(watches, 1, 3));
	EXPECT(!osq_watches_want(watches, 1, 2));
	EXPECT(!osq_watches_want(watches, 3, 1));
	EXPECT(!osq_watches_want(NULL, 1, 1));
	destroy(watches);
}

static void expect_shown(const char *place, const char *shown, const char *path,
			 const char *wanted)
{
	struct osq_view view = { .place = path_of(place),
				 .shown = path_of(shown) };
	struct osq_path of = path_of(path);
	char *to = malloc(view.shown.len + of.len + 1);
	u32 len = osq_view_path(&view, &of, to);

	EXPECT_EQ(len, strlen(wanted));
	EXPECT(!memcmp(to, wanted, len));
	free(to);
}

/* A path is shown with its owner's name of the watch; the root is a slash. */
static void test_a_path_is_shown_as_its_owner_names_it(void)
{
	expect_shown("/data/sub", "/watch", "/data/sub/f", "/watch/f");
	expect_shown("/data/sub", "/watch", "/data/sub", "/watch");
	expect_shown("", "/mnt", "/f", "/mnt/f");
	expect_shown("", "", "/f", "/f");
	expect_shown("", "", "", "/");
	expect_shown("/data", "", "/data", "/");
	expect_shown("/data", "", "/data/f", "/f");
}

/* A watch keeps copies of its paths; the originals may be freed. */
static void test_a_watch_keeps_its_paths(void)
{
	char place[] = "/a/b", shown[] = "/x", mount[] = "/m", top[] = "/a";
	struct osq_view path = { .place = path_of(place),
				 .shown = path_of(shown) };
	struct osq_view of = { .place = path_of(top), .shown = path_of(mount) };
	struct osq_watched *watched = osq_watched_create(6, &path, &of);

	place[1] = shown[1] = mount[1] = top[1] = '?';

	EXPECT_EQ(watched->fs, 0);
	EXPECT_EQ(watched->actions, 6);
	EXPECT_EQ(watched->depth, 2);
	EXPECT(!memcmp(watched->path.place.bytes, "/a/b", 4));
	EXPECT(!memcmp(watched->path.shown.bytes, "/x", 2));
	EXPECT(!memcmp(watched->mount.place.bytes, "/a", 2));
	EXPECT(!memcmp(watched->mount.shown.bytes, "/m", 2));
	osq_watched_destroy(watched);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_exactly_the_paths_of_the_grammar_are_accepted),
	KTAP_TEST(test_a_path_covers_on_whole_components),
	KTAP_TEST(test_the_closest_watch_decides),
	KTAP_TEST(test_replace_leaves_the_old_table_alone),
	KTAP_TEST(test_a_watch_is_found_by_its_shown_name),
	KTAP_TEST(test_a_path_is_shown_as_its_owner_names_it),
	KTAP_TEST(test_a_watch_keeps_its_paths),
};

KTAP_MAIN(tests)
