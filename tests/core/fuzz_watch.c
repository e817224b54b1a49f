// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * fuzz_watch.c - add, remove and look up any watches and paths, and compare
 * each answer with the oracle's (libFuzzer).
 */
#include <stdlib.h>

#include "watch_oracle.h"

#define MOST 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct osq_watches *watches;

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void replace(struct osq_watched *without, struct osq_watched *with)
{
	struct osq_watches *next = osq_watches_replace(watches, without, with);

	osq_os_free(watches);
	osq_watched_destroy(without);
	watches = next;
}

/* A table holds the root as an empty text. */
static struct osq_path as_kept(const char *bytes, u32 len)
{
	return (struct osq_path){ .bytes = bytes, .len = len == 1 ? 0 : len };
}

static void add(const struct osq_path *path, u64 fs, u64 actions)
{
	struct osq_view view = { .place = *path, .shown = *path };
	struct osq_watched *same = osq_watches_find(watches, path);
	struct osq_watched *one;

	if (!same && watches && watches->count == MOST)
		return;
	one = osq_watched_create(actions, &view, &view);
	one->fs = fs;
	replace(same, one);
	require(osq_watches_find(watches, path) == one);
}

static void ask(const struct osq_path *path, u64 fs, u64 actions)
{
	const struct osq_watched *got =
		osq_watches_match(watches, fs, actions, path);
	int depth = watches ? oracle_depth(watches->watched, watches->count, fs,
					   actions, path)
			    : -1;
	char *to;

	require((got ? (int)got->depth : -1) == depth);
	if (!got)
		return;
	/* Every path is shown unchanged; its memory has exactly its size. */
	to = malloc(path->len ? path->len : 1);
	require(osq_view_path(&got->path, path, to) ==
		(path->len ? path->len : 1));
	require(path->len ? !memcmp(to, path->bytes, path->len) : *to == '/');
	free(to);
}

/* A call in the input: its kind, its subject, a length, and the bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	while (size >= 3) {
		u32 len = data[2] % 40;
		u64 fs = data[1] % 2, actions = data[1] / 2 % 8;
		int kind = data[0] % 3;
		struct osq_path path;
		char *own;

		data += 3;
		size -= 3;
		if (len > size)
			len = (u32)size;
		own = malloc(len ? len : 1);
		memcpy(own, data, len);
		data += len;
		size -= len;
		if (osq_path_is_proper(own, len)) {
			path = as_kept(own, len);
			if (kind == 0)
				add(&path, fs, actions);
			else if (kind == 1)
				replace(osq_watches_find(watches, &path), NULL);
			else
				ask(&path, fs, actions);
		}
		free(own);
	}
	while (watches && watches->count)
		replace(watches->watched[0], NULL);
	return 0;
}
