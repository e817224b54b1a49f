/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * file_log.h - log what was done to files: a witness that knows nothing of the
 * driver.
 *
 * A line for each thing that has succeeded, "ACTION PATH DEST DEV INO MODE UID
 * GID NLINK": paths as hexadecimal bytes, DEST "-" but for a rename, the numbers
 * those of fstat afterwards. The first line is "process PID UID EUID SUID FSUID
 * GID EGID SGID FSGID", the last one "end". What fails is not in it.
 */
#ifndef FILE_LOG_H
#define FILE_LOG_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static FILE *log_file;

static inline void log_fail(const char *what)
{
	perror(what);
	exit(1);
}

static inline void log_print_hex(const char *text)
{
	for (; *text; text++)
		fprintf(log_file, "%02x", (unsigned char)*text);
	fputc(' ', log_file);
}

static inline void log_say(const char *action, const char *path,
			   const char *dest, const struct stat *is)
{
	fprintf(log_file, "%s ", action);
	log_print_hex(path);
	if (dest)
		log_print_hex(dest);
	else
		fputs("- ", log_file);
	fprintf(log_file, "%llu %llu %u %u %u %llu\n",
		(unsigned long long)major(is->st_dev) << 32 | minor(is->st_dev),
		(unsigned long long)is->st_ino, is->st_mode, is->st_uid,
		is->st_gid, (unsigned long long)is->st_nlink);
}

/* A handle that is no open for the kernel: it can be asked, and stays. */
static inline int log_hold(const char *path)
{
	return open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/* Returns false when there is no such file. */
static inline bool log_ask(const char *path, struct stat *is)
{
	int fd = log_hold(path);
	bool there = fd >= 0 && !fstat(fd, is);

	if (fd >= 0)
		close(fd);
	return there;
}

static inline void log_say_now(const char *action, const char *path,
			       const char *dest)
{
	struct stat is;

	if (!log_ask(dest ? dest : path, &is))
		log_fail(action);
	log_say(action, path, dest, &is);
}

static inline void log_begin(const char *path)
{
	uid_t uid, euid, suid;
	gid_t gid, egid, sgid;

	log_file = fopen(path, "we");
	if (!log_file)
		log_fail(path);
	/* The file system's ids follow the effective ones. */
	if (getresuid(&uid, &euid, &suid) || getresgid(&gid, &egid, &sgid))
		log_fail("getresuid");
	fprintf(log_file, "process %d %u %u %u %u %u %u %u %u\n", getpid(), uid,
		euid, suid, euid, gid, egid, sgid, egid);
}

static inline void log_end(void)
{
	fputs("end\n", log_file);
	if (fclose(log_file))
		log_fail("fclose");
}

#endif
