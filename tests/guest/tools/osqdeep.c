// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqdeep.c - do things to files whose path is longer than any call takes.
 *
 *	osqdeep LOG FOLDER
 *
 * Goes down from FOLDER, a step of 240 letters at a time, to a depth of 4800
 * bytes, and up again; makes, changes, renames, links and removes a file on
 * each level below 3840, by its last name. The log is that of file_log.h, with
 * whole paths.
 */
#include "file_log.h"

#define STEPS 20
#define STEP_BYTES 240
#define FROM_STEP 16

static char here[2 * STEPS * STEP_BYTES]; /* what the current folder is */

/* The path of a name in it, in one of two buffers by turns. */
static const char *whole(const char *name)
{
	static char path[2][sizeof(here) + 32];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", here, name);
	return path[turn];
}

static void say_here(const char *action, const char *name, const char *dest)
{
	struct stat is;

	if (!log_ask(dest ? dest : name, &is))
		log_fail(action);
	log_say(action, whole(name), dest ? whole(dest) : NULL, &is);
}

static void require(int failed, const char *what)
{
	if (failed)
		log_fail(what);
}

static void one_file(void)
{
	struct stat is;
	int fd = open("f", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	require(fd < 0, "open");
	say_here("create", "f", NULL);
	say_here("open", "f", NULL);
	close(fd);
	say_here("close_write", "f", NULL);
	require(chmod("f", 0640), "chmod");
	say_here("attrib", "f", NULL);
	require(link("f", "g"), "link");
	say_here("link", "g", NULL);
	require(rename("f", "h i"), "rename");
	say_here("rename", "f", "h i");
	require(unlink("g"), "unlink");
	require(!log_ask("h i", &is), "stat");
	log_say("unlink", whole("g"), NULL, &is);
	fd = log_hold("h i");
	require(unlink("h i") || fstat(fd, &is), "unlink");
	log_say("unlink", whole("h i"), NULL, &is);
	close(fd);
}

static void go_down(char *name, char letter)
{
	memset(name, letter, STEP_BYTES - 1);
	name[STEP_BYTES - 1] = 0;
	require(mkdir(name, 0700), "mkdir");
	say_here("create", name, NULL);
	require(chdir(name), "chdir");
	snprintf(here + strlen(here), sizeof(here) - strlen(here), "/%s", name);
}

static void go_up(char *name, char letter)
{
	struct stat is;
	int fd;

	require(chdir(".."), "chdir");
	here[strlen(here) - STEP_BYTES] = 0;
	memset(name, letter, STEP_BYTES - 1);
	fd = log_hold(name);
	require(rmdir(name) || fstat(fd, &is), "rmdir");
	log_say("unlink", whole(name), NULL, &is);
	close(fd);
}

int main(int argc, char **argv)
{
	char name[STEP_BYTES + 1];
	int step;

	if (argc != 3)
		return 2;
	umask(0);
	require(chdir(argv[2]), argv[2]);
	snprintf(here, sizeof(here), "%s", argv[2]);
	log_begin(argv[1]);
	for (step = 0; step < STEPS; step++) {
		go_down(name, (char)('a' + step));
		if (step >= FROM_STEP)
			one_file();
	}
	while (step--)
		go_up(name, (char)('a' + step));
	log_end();
	return 0;
}
