// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqmounts.c - a process that changes what it sees in each way: its
 * namespaces, its mounts, and its root. Needs root; all of it goes with the
 * process.
 *
 *	osqmounts FOLDER	which it makes, and removes
 *
 * First a line with the process that does it. Then a line for each call: the
 * action's name, the number of the system call, the flags of mount and umount,
 * the path, and of a switch the namespace of mounts or UTS in which the process
 * is then. Exit status 0 when each call succeeded.
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of sys/mount.h, which cannot be included beside linux/mount.h. */
int mount(const char *source, const char *target, const char *fs,
	  unsigned long flags, const void *data);
int umount2(const char *target, int flags);
#define DETACH 2

static char below[4096], old[4096];

static void must(int holds, const char *what)
{
	if (!holds) {
		perror(what);
		exit(1);
	}
}

static void told(const char *name, long number, unsigned long flags,
		 const char *path)
{
	printf("%s %ld %lu %s\n", name, number, flags, path);
	fflush(stdout);
}

/* The number between the brackets of /proc/self/ns/KIND. */
static const char *own(const char *kind)
{
	static char link[64];
	char path[64], *end;
	ssize_t bytes;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
	bytes = readlink(path, link, sizeof(link) - 1);
	must(bytes > 0, path);
	link[bytes] = 0;
	end = strchr(link, ']');
	must(end && strchr(link, '['), link);
	*end = 0;
	return strchr(link, '[') + 1;
}

static void mounts(const char *folder)
{
	must(!mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
	told("mount", SYS_mount, MS_REC | MS_PRIVATE, "/");
	must(!mount("osqsource", folder, "tmpfs", MS_NOSUID, NULL), "tmpfs");
	told("mount", SYS_mount, MS_NOSUID, folder);
	must(!mkdir(below, 0700) && !mkdir(old, 0700), "mkdir");
	must(!mount(folder, below, NULL, MS_BIND, NULL), "bind");
	told("mount", SYS_mount, MS_BIND, below);
	must(!umount2(below, DETACH), "umount");
	told("umount", SYS_umount2, DETACH, below);
}

static void move(void)
{
	int fs = syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), made;

	must(fs >= 0, "fsopen");
	must(!syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0),
	     "fsconfig");
	made = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	must(made >= 0, "fsmount");
	must(!syscall(SYS_move_mount, made, "", AT_FDCWD, below,
		      MOVE_MOUNT_F_EMPTY_PATH),
	     "move_mount");
	told("move", SYS_move_mount, 0, below);
}

static void roots(const char *folder)
{
	must(!syscall(SYS_pivot_root, folder, old), "pivot_root");
	told("pivot", SYS_pivot_root, 0, folder);
	must(!chdir("/") && !chroot("/below"), "chroot");
	told("chroot", SYS_chroot, 0, "/below");
}

static void change_all(const char *folder)
{
	int uts = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	char first[64];

	must(uts >= 0, "uts");
	snprintf(first, sizeof(first), "%s", own("uts"));
	printf("%d\n", getpid());
	must(!unshare(CLONE_NEWNS | CLONE_NEWUTS), "unshare");
	told("switch", SYS_unshare, 0, own("mnt"));
	mounts(folder);
	move();
	roots(folder);
	must(!setns(uts, CLONE_NEWUTS), "setns");
	told("switch", SYS_setns, 0, first);
	exit(0);
}

int main(int argc, char **argv)
{
	int status = 1;
	pid_t child;

	if (argc != 2)
		return 2;
	snprintf(below, sizeof(below), "%s/below", argv[1]);
	snprintf(old, sizeof(old), "%s/old", argv[1]);
	must(!mkdir(argv[1], 0700), argv[1]);
	child = fork();
	if (!child)
		change_all(argv[1]);
	must(waitpid(child, &status, 0) == child, "wait");
	must(!rmdir(argv[1]), "rmdir");
	return status != 0;
}
