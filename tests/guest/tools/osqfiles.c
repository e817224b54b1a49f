// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqfiles.c - change files at random, as a seed has it, and log what was done.
 *
 *	osqfiles LOG SEED COUNT FOLDER...
 *
 * The log is that of file_log.h. All happens below the FOLDERs, which stay, and
 * which nobody else may touch. After each step it sleeps for the microseconds of
 * OSQFILES_PAUSE_US, if that is set.
 */
#include <sys/xattr.h>

#include "file_log.h"

#define MOST_NAMES 56
#define LONGEST 3000 /* of a path that something new is made at */

struct node {
	char *path;
	bool folder;
};

static struct node nodes[MOST_NAMES];
static int count, fixed; /* the first ones are the FOLDERs */

static int below(int limit)
{
	return (int)(random() % limit);
}

static void remember(const char *path, bool folder)
{
	nodes[count++] = (struct node){ strdup(path), folder };
}

static void forget(int at)
{
	free(nodes[at].path);
	nodes[at] = nodes[--count];
}

static int find(const char *path)
{
	int at;

	for (at = 0; at < count; at++)
		if (!strcmp(nodes[at].path, path))
			return at;
	return -1;
}

static bool is_under(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return !strncmp(path, folder, length) &&
	       (!path[length] || path[length] == '/');
}

/* Every name that begins with @from begins with @to now. */
static void move(const char *from, const char *to)
{
	char *old = strdup(from), *next = strdup(to);
	int at;

	for (at = fixed; at < count; at++) {
		char *path = nodes[at].path;

		if (!is_under(path, old))
			continue;
		if (asprintf(&nodes[at].path, "%s%s", next,
			     path + strlen(old)) < 0)
			log_fail("asprintf");
		free(path);
	}
	free(old);
	free(next);
}

/* A path in some folder, with a name of any kind; it may exist. */
static char *new_path(void)
{
	static const char *const kinds[] = {
		"plain%d",     "two words %d", "line\nbreak%d",
		"\xff\xfe%d",  "\xc3%d",       "\xc3\xa9t\xc3\xa9%d",
		"\"quote\\%d", ".hidden%d",    "\x01\x7f\t%d",
	};
	const int most = (int)(sizeof(kinds) / sizeof(*kinds));
	char name[256], *path;
	int kind = below(most + 1), folder;

	do {
		folder = below(count);
	} while (!nodes[folder].folder);
	snprintf(name, sizeof(name), kinds[kind % most], below(12));
	if (kind == most) {
		memset(name, 'n', 255);
		name[255] = 0;
		name[254] = (char)('0' + below(4));
	}
	if (asprintf(&path, "%s/%s", nodes[folder].path, name) < 0)
		log_fail("asprintf");
	if (strlen(path) > LONGEST) {
		free(path);
		return new_path();
	}
	return path;
}

static void make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC,
		      below(2) ? 0600 : 0644);
	struct stat is;

	if (fd < 0)
		return;
	remember(path, false);
	if (fstat(fd, &is) || (below(2) && write(fd, "x", 1) != 1))
		log_fail("write");
	close(fd);
	log_say("create", path, NULL, &is);
	log_say("open", path, NULL, &is);
	log_say("close_write", path, NULL, &is);
}

static void make_other(const char *path, int what)
{
	int err = what == 0   ? mkdir(path, 0755)
		  : what == 1 ? symlink("to/nowhere", path)
			      : mkfifo(path, 0640);

	if (err)
		return;
	remember(path, what == 0);
	log_say_now("create", path, NULL);
}

static void make(void)
{
	char *path = new_path();
	int what = below(8);

	if (what < 3)
		make_other(path, what);
	else
		make_file(path);
	free(path);
}

static void open_one(const struct node *node)
{
	bool write = below(2);
	int fd = open(node->path, (write ? O_WRONLY : O_RDONLY) | O_NOFOLLOW |
					  O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	log_say_now("open", node->path, NULL);
	close(fd);
	if (write)
		log_say_now("close_write", node->path, NULL);
}

static void change(const struct node *node)
{
	const char *path = node->path;
	char value = (char)below(256);
	int err;

	switch (below(4)) {
	case 0:
		err = chmod(path, (node->folder ? 0700u : 0600u) |
					  (mode_t)below(0777));
		break;
	case 1:
		err = lchown(path, (uid_t)below(3000), (gid_t)below(3000));
		break;
	case 2:
		err = utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
		break;
	default:
		err = lsetxattr(path, "user.osq", &value, 1, 0);
	}
	if (!err)
		log_say_now("attrib", path, NULL);
}

static void unlink_one(int at)
{
	const char *path = nodes[at].path;
	int fd = log_hold(path);
	struct stat is;

	if (fd >= 0 && !(nodes[at].folder ? rmdir(path) : unlink(path))) {
		if (fstat(fd, &is))
			log_fail("fstat");
		log_say("unlink", path, NULL, &is);
		forget(at);
	}
	if (fd >= 0)
		close(fd);
}

static void link_one(const struct node *node)
{
	char *path = new_path();

	if (count < MOST_NAMES && !link(node->path, path)) {
		remember(path, false);
		log_say_now("link", path, NULL);
	}
	free(path);
}

static void rename_one(int at)
{
	char *to = below(3) ? new_path()
			    : strdup(nodes[fixed + below(count - fixed)].path);
	char *from = strdup(nodes[at].path);
	struct stat is, replaced;
	bool same = log_ask(from, &is) && log_ask(to, &replaced) &&
		    is.st_ino == replaced.st_ino;

	/* Of two names of one file the system renames none, and says it did. */
	if (!rename(from, to) && !same) {
		if (find(to) >= 0)
			forget(find(to));
		move(from, to);
		log_say_now("rename", from, to);
	}
	free(from);
	free(to);
}

static void exchange(int a, int b)
{
	char *one = strdup(nodes[a].path), *other = strdup(nodes[b].path);
	struct stat is, was;
	static const char aside[] = "/aside";

	if (log_ask(one, &was) && log_ask(other, &is) &&
	    was.st_ino != is.st_ino &&
	    !renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE)) {
		move(one, aside);
		move(other, one);
		move(aside, other);
		log_say_now("rename", one, other);
		log_say_now("rename", other, one);
	}
	free(one);
	free(other);
}

static void step(void)
{
	int at, what = below(16);

	if (count == fixed || (what < 5 && count < MOST_NAMES)) {
		make();
		return;
	}
	at = fixed + below(count - fixed);
	if (what >= 5 && what < 7)
		open_one(&nodes[at]);
	else if (what >= 5 && what < 9)
		change(&nodes[at]);
	else if (what < 11)
		unlink_one(at);
	else if (what < 12)
		link_one(&nodes[at]);
	else if (what < 15)
		rename_one(at);
	else
		exchange(at, fixed + below(count - fixed));
}

int main(int argc, char **argv)
{
	const char *pause = getenv("OSQFILES_PAUSE_US");
	long steps;
	int i;

	if (argc < 5 || argc - 4 >= MOST_NAMES)
		return 2;
	umask(0);
	srandom((unsigned int)strtoul(argv[2], NULL, 0));
	for (i = 4; i < argc; i++)
		remember(argv[i], true);
	fixed = count;
	log_begin(argv[1]);
	for (steps = strtol(argv[3], NULL, 0); steps > 0; steps--) {
		step();
		if (pause)
			usleep((unsigned int)strtoul(pause, NULL, 0));
	}
	log_end();
	return 0;
}
