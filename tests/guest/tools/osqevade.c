// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqevade.c - do what is easily not seen.
 *
 *	osqevade files WATCHED OUTSIDE
 *		change the files "cut", "linked", "touched" and "held" of
 *		WATCHED: by truncate(2), by a hard link in OUTSIDE, by its time
 *		alone, and by many writes without a close; then wait
 *	osqevade ways WATCHED OUTSIDE
 *		write to a file of WATCHED by each way that there is, and keep
 *		all of them open: the file is named after the way; then wait
 *	osqevade late WATCHED
 *		write to the files "cut" and "two" of WATCHED and close them,
 *		then change them at once: by truncate(2), and by another
 *		descriptor that stays open; then wait
 *	osqevade leader
 *		end with status 3, and later a thread of the process with 0
 *	osqevade capability FILE NUMBER
 *		have FILE, when it runs, get the capability of that number
 *	osqevade keepcaps TIMES
 *		change the own securebits so often, as anybody may
 *	osqevade memfd PROGRAM
 *		run a copy of PROGRAM that is in no file system
 *	osqevade namespaces TRIES PROGRAM
 *		make TRIES pid namespaces, one after the other, as anybody can;
 *		run PROGRAM in each, and print its number
 *	osqevade nest CPU SECONDS RUNNERS PROGRAM
 *		RUNNERS processes of one CPU run PROGRAM with long arguments
 *		again and again, beside one that uses the CPU up; print the count
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define WRITES 50
#define HOGS 1

static void must(int worked, const char *what)
{
	if (worked)
		return;
	perror(what);
	exit(1);
}

static _Noreturn void files(const char *watched, const char *outside)
{
	const struct timespec day[2] = { { .tv_nsec = UTIME_OMIT },
					 { .tv_sec = 86400 } };
	int out = open(outside, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd, i;

	must(!chdir(watched) && out >= 0, "folders");
	must(!truncate("cut", 3), "truncate");

	must(!linkat(AT_FDCWD, "linked", out, "other", 0), "link");
	fd = openat(out, "other", O_WRONLY | O_CLOEXEC);
	must(fd >= 0 && write(fd, "x", 1) == 1 && !close(fd), "write");
	must(!fchmodat(out, "other", 0604, 0), "chmod");
	must(!unlinkat(out, "other", 0), "unlink");

	must(!utimensat(AT_FDCWD, "touched", day, 0), "utimensat");

	fd = open("held", O_WRONLY | O_CLOEXEC);
	must(fd >= 0, "held");
	for (i = 0; i < WRITES; i++)
		must(write(fd, "x", 1) == 1, "write");
	puts("done");
	fflush(stdout);
	for (;;)
		pause();
}

static int opened(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	must(fd >= 0, name);
	return fd;
}

static _Noreturn void late(const char *watched)
{
	int in = open(watched, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = opened(in, "cut"), other = opened(in, "two");

	must(!chdir(watched) && write(fd, "hello", 5) == 5 && !close(fd) &&
		     !truncate("cut", 3),
	     "cut");
	fd = opened(in, "two");
	must(write(fd, "x", 1) == 1 && !close(fd) && write(other, "y", 1) == 1,
	     "two");
	puts("done");
	fflush(stdout);
	for (;;)
		pause();
}

static void by_splice(int to)
{
	int pipes[2];

	must(!pipe(pipes) && write(pipes[1], "x", 1) == 1, "pipe");
	must(splice(pipes[0], NULL, to, NULL, 1, 0) == 1, "splice");
}

/* A file that was made without a name, and gets one before it is written to. */
static void by_no_name(const char *outside, int watched)
{
	int fd = open(outside, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(fd >= 0 && !linkat(AT_FDCWD, path, watched, "no_name",
				AT_SYMLINK_FOLLOW),
	     "no name");
	must(write(fd, "x", 1) == 1, "write");
}

/* A file whose other name, by which it is open, is gone. */
static void by_lost_name(int out, int watched)
{
	int fd = opened(out, "lost");

	must(!linkat(out, "lost", watched, "lost_name", 0) &&
		     !unlinkat(out, "lost", 0),
	     "lost name");
	must(write(fd, "x", 1) == 1, "write");
}

static _Noreturn void ways(const char *watched, const char *outside)
{
	int in = open(watched, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int out = open(outside, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int source = opened(out, "source");
	off_t start = 0;

	must(in >= 0 && out >= 0 && write(source, "hello", 5) == 5, "source");
	must(pwrite(opened(in, "pwrite"), "x", 1, 0) == 1, "pwrite");
	must(copy_file_range(source, &start, opened(in, "copy"), NULL, 5, 0) ==
		     5,
	     "copy_file_range");
	start = 0;
	must(sendfile(opened(in, "sendfile"), source, &start, 5) == 5,
	     "sendfile");
	by_splice(opened(in, "splice"));
	must(!fallocate(opened(in, "fallocate"), 0, 0, 4096), "fallocate");
	must(!ftruncate(opened(in, "ftruncate"), 100), "ftruncate");
	by_no_name(outside, in);
	by_lost_name(out, in);
	must(!renameat2(in, "exchanged", out, "source", RENAME_EXCHANGE),
	     "exchange");
	puts("done");
	fflush(stdout);
	for (;;)
		pause();
}

static void *last_thread(void *unused)
{
	char state = 0;

	while (state != 'Z') {
		FILE *stat = fopen("/proc/self/stat", "re");

		must(stat && fscanf(stat, "%*d (%*[^)]) %c", &state) == 1,
		     "stat");
		fclose(stat);
	}
	syscall(SYS_exit, 0);
	return unused;
}

static _Noreturn void leader(void)
{
	pthread_t thread;

	must(!pthread_create(&thread, NULL, last_thread, NULL), "thread");
	for (;;)
		syscall(SYS_exit, 3);
}

static int from_memory(const char *program)
{
	int from = open(program, O_RDONLY | O_CLOEXEC);
	int to = memfd_create("osq", MFD_CLOEXEC);
	char *args[] = { (char *)program, NULL };
	struct stat is;

	must(from >= 0 && to >= 0 && !fstat(from, &is), "memfd");
	must(sendfile(to, from, NULL, (size_t)is.st_size) == is.st_size,
	     "copy");
	fexecve(to, args, environ);
	must(0, "fexecve");
	return 1;
}

static int capability(const char *path, unsigned int number)
{
	const struct vfs_cap_data data = {
		.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
		.data[0].permitted = 1u << number,
	};

	must(!setxattr(path, "security.capability", &data, XATTR_CAPS_SZ_2, 0),
	     "setxattr");
	return 0;
}

static int keepcaps(long times)
{
	for (; times > 0; times--)
		must(!prctl(PR_SET_KEEPCAPS, times % 2, 0, 0, 0), "prctl");
	return 0;
}

static void in_one_namespace(const char *program)
{
	struct stat is;
	pid_t child;

	must(!unshare(CLONE_NEWUSER | CLONE_NEWPID), "unshare");
	child = fork();
	if (!child) {
		execl(program, program, NULL);
		_exit(127);
	}
	must(!stat("/proc/self/ns/pid_for_children", &is), "stat");
	waitpid(child, NULL, 0);
	printf("%lu\n", (unsigned long)is.st_ino);
	fflush(stdout);
	_exit(0);
}

static int namespaces(int tries, const char *program)
{
	while (tries--) {
		pid_t child = fork();
		int status;

		if (!child)
			in_one_namespace(program);
		waitpid(child, &status, 0);
		must(!status, "namespace");
	}
	return 0;
}

static void run_again(const char *program, long *count)
{
	static char longer[12000];
	char *args[] = { (char *)program, longer, NULL };

	memset(longer, 'x', sizeof(longer) - 1);
	setpriority(PRIO_PROCESS, 0, 5);
	for (;;) {
		pid_t child = vfork();

		if (!child) {
			execv(program, args);
			_exit(127);
		}
		waitpid(child, NULL, 0);
		__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
	}
}

static int nest(int cpu, unsigned int seconds, int runners, const char *program)
{
	long *count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(!sched_setaffinity(0, sizeof(set), &set), "affinity");
	setpgid(0, 0);
	for (i = 0; i < HOGS + runners; i++) {
		if (fork())
			continue;
		if (i >= HOGS)
			run_again(program, count);
		for (;;)
			;
	}
	CPU_SET(!cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	sleep(seconds);
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (waitpid(-1, NULL, 0) > 0)
		;
	printf("%ld\n", *count);
	return 0;
}

int main(int argc, char **argv)
{
	const char *scene = argc > 1 ? argv[1] : "";

	if (!strcmp(scene, "files") && argc == 4)
		files(argv[2], argv[3]);
	if (!strcmp(scene, "ways") && argc == 4)
		ways(argv[2], argv[3]);
	if (!strcmp(scene, "capability") && argc == 4)
		return capability(argv[2], (unsigned int)atoi(argv[3]));
	if (!strcmp(scene, "late") && argc == 3)
		late(argv[2]);
	if (!strcmp(scene, "leader") && argc == 2)
		leader();
	if (!strcmp(scene, "keepcaps") && argc == 3)
		return keepcaps(atol(argv[2]));
	if (!strcmp(scene, "memfd") && argc == 3)
		return from_memory(argv[2]);
	if (!strcmp(scene, "namespaces") && argc == 4)
		return namespaces(atoi(argv[2]), argv[3]);
	if (!strcmp(scene, "nest") && argc == 6)
		return nest(atoi(argv[2]), (unsigned int)atoi(argv[3]),
			    atoi(argv[4]), argv[5]);
	fputs("osqevade: see the head of osqevade.c\n", stderr);
	return 2;
}
