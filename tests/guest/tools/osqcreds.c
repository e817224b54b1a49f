// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqcreds.c - change credentials in every way there is, and log each side
 * as /proc tells it: one JSON object a line. It knows nothing of the driver.
 *
 *	osqcreds run N		N children, each with all steps; every second
 *				one does them in a thread that is not its first
 *	osqcreds exec N PROGRAM	N times, as user 1000: log, then PROGRAM show
 *	osqcreds show		log this process
 *
 * A line of 'run' is one step: what it is called, thread, errno, both sides.
 * The parent reads them, in its own namespaces; only the securebits, which
 * /proc does not have, come from the thread itself. Calls are made past libc,
 * which would make them in all threads.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIT(capability) (1u << (capability))

static int set_groups(void)
{
	const gid_t groups[] = { 11, 12, 13 };

	return (int)syscall(SYS_setgroups, 3, groups);
}

static int other_groups(void)
{
	const gid_t groups[] = { 11, 12, 14 };

	return (int)syscall(SYS_setgroups, 3, groups);
}

static int set_gids(void)
{
	return (int)syscall(SYS_setresgid, 100, 101, 102);
}

static int set_fsgid(void)
{
	return syscall(SYS_setfsgid, 103) == 101 ? 0 : -1;
}

static int keep_caps(void)
{
	return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
}

static int drop_bounding(void)
{
	return prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0);
}

static int set_caps(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3,
						 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		return -1;
	data[0].effective &= ~BIT(CAP_SYS_NICE);
	data[0].inheritable |= BIT(CAP_NET_RAW);
	return (int)syscall(SYS_capset, &head, data);
}

static int raise_ambient(void)
{
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0);
}

static int set_uids(void)
{
	return (int)syscall(SYS_setresuid, 2000, 2001, 2002);
}

static int set_fsuid(void)
{
	return syscall(SYS_setfsuid, 2002) == 2001 ? 0 : -1;
}

static int set_euid(void)
{
	return (int)syscall(SYS_setreuid, -1, 2002);
}

static int same_uids(void)
{
	return (int)syscall(SYS_setresuid, 2000, 2002, 2002);
}

static int become_root(void)
{
	return (int)syscall(SYS_setuid, 0);
}

static int new_user_ns(void)
{
	return unshare(CLONE_NEWUSER);
}

static const struct {
	const char *name;
	int (*run)(void);
} steps[] = {
	{ "setgroups", set_groups },
	{ "setgroups_other", other_groups },
	{ "setresgid", set_gids },
	{ "setfsgid", set_fsgid },
	{ "keepcaps", keep_caps },
	{ "bounding", drop_bounding },
	{ "capset", set_caps },
	{ "ambient", raise_ambient },
	{ "setresuid", set_uids },
	{ "setfsuid", set_fsuid },
	{ "setreuid", set_euid },
	{ "setresuid_same", same_uids },
	{ "setuid_refused", become_root },
	{ "unshare_user", new_user_ns },
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

/* What a thread says of itself after a step, and before the first. */
struct word {
	int tid;
	int error;
	int securebits;
};

struct side {
	unsigned int uid[4], gid[4], user_ns;
	unsigned long long caps[5]; /* as /proc lists them: Inh Prm Eff Bnd Amb */
	char groups[256];
	int securebits;
};

static int to_worker[2], from_worker[2];

static void give_up(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned int count_words(const char *text)
{
	unsigned int count = 0;

	while (*(text += strspn(text, " \n"))) {
		text += strcspn(text, " \n");
		count++;
	}
	return count;
}

static void read_status(const char *folder, struct side *side)
{
	static const char *const caps[] = { "CapInh:", "CapPrm:", "CapEff:",
					    "CapBnd:", "CapAmb:" };
	char name[64], line[512];
	FILE *in;
	int i;

	snprintf(name, sizeof(name), "%s/status", folder);
	in = fopen(name, "re");
	if (!in)
		give_up(name);
	while (fgets(line, sizeof(line), in)) {
		sscanf(line, "Uid: %u %u %u %u", &side->uid[0], &side->uid[1],
		       &side->uid[2], &side->uid[3]);
		sscanf(line, "Gid: %u %u %u %u", &side->gid[0], &side->gid[1],
		       &side->gid[2], &side->gid[3]);
		if (!strncmp(line, "Groups:", 7))
			snprintf(side->groups, sizeof(side->groups), "%.*s",
				 (int)strcspn(line + 8, "\n"), line + 8);
		for (i = 0; i < 5; i++)
			if (!strncmp(line, caps[i], 7))
				side->caps[i] = strtoull(line + 7, NULL, 16);
	}
	fclose(in);
}

static struct side side_of(const char *folder, int securebits)
{
	struct side side = { .securebits = securebits };
	struct stat ns;
	char name[64];

	read_status(folder, &side);
	snprintf(name, sizeof(name), "%s/ns/user", folder);
	if (stat(name, &ns))
		give_up(name);
	side.user_ns = (unsigned int)ns.st_ino;
	return side;
}

static void print_side(const char *name, const struct side *side)
{
	printf("\"%s\":{\"uid\":%u,\"euid\":%u,\"suid\":%u,\"fsuid\":%u,"
	       "\"gid\":%u,\"egid\":%u,\"sgid\":%u,\"fsgid\":%u,",
	       name, side->uid[0], side->uid[1], side->uid[2], side->uid[3],
	       side->gid[0], side->gid[1], side->gid[2], side->gid[3]);
	printf("\"permitted\":%llu,\"effective\":%llu,\"inheritable\":%llu,"
	       "\"bounding\":%llu,\"ambient\":%llu,\"securebits\":%d,"
	       "\"user_ns\":%u,\"groups\":%u,\"group_list\":\"%s\"}",
	       side->caps[1], side->caps[2], side->caps[0], side->caps[3],
	       side->caps[4], side->securebits, side->user_ns,
	       count_words(side->groups), side->groups);
}

static void say(int error)
{
	struct word word = {
		.tid = (int)syscall(SYS_gettid),
		.error = error,
		.securebits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0),
	};

	if (write(from_worker[1], &word, sizeof(word)) != sizeof(word))
		give_up("write");
}

static void *work(void *unused)
{
	char go;
	size_t i;

	(void)unused;
	say(0);
	for (i = 0; i < STEPS; i++) {
		if (read(to_worker[0], &go, 1) != 1)
			give_up("read");
		say(steps[i].run() ? errno : 0);
	}
	/* The last side is to be read before this thread has gone. */
	if (read(to_worker[0], &go, 1) != 1)
		give_up("read");
	return NULL;
}

static struct word listen_to_worker(void)
{
	struct word word;

	if (read(from_worker[0], &word, sizeof(word)) != sizeof(word))
		give_up("read");
	return word;
}

static void tell_worker(void)
{
	if (write(to_worker[1], "", 1) != 1)
		give_up("write");
}

/* A joined thread may still be on its way out: wait until it is gone. */
static void wait_for_the_end_of_threads(void)
{
	struct stat tasks;

	do
		if (stat("/proc/self/task", &tasks))
			give_up("/proc/self/task");
	while (tasks.st_nlink > 3);
}

static void child(int in_thread)
{
	pthread_t thread;

	if (!in_thread) {
		work(NULL);
	} else if (pthread_create(&thread, NULL, work, NULL) ||
		   pthread_join(thread, NULL)) {
		give_up("pthread");
	}
	wait_for_the_end_of_threads();
	_exit(0);
}

static void watch(pid_t pid)
{
	struct word word = listen_to_worker();
	struct side old, now;
	char folder[64];
	size_t i;

	snprintf(folder, sizeof(folder), "/proc/%d/task/%d", pid, word.tid);
	now = side_of(folder, word.securebits);
	for (i = 0; i < STEPS; i++) {
		old = now;
		tell_worker();
		word = listen_to_worker();
		now = side_of(folder, word.securebits);
		printf("{\"step\":\"%s\",\"pid\":%d,\"tid\":%d,\"error\":%d,",
		       steps[i].name, pid, word.tid, word.error);
		print_side("old", &old);
		putchar(',');
		print_side("now", &now);
		puts("}");
	}
	tell_worker();
}

static void run(long rounds)
{
	int status = 0;
	long round;

	for (round = 0; round < rounds; round++) {
		pid_t pid;

		if (pipe(to_worker) || pipe(from_worker))
			give_up("pipe");
		fflush(stdout);
		pid = fork();
		if (!pid)
			child(round & 1);
		watch(pid);
		if (waitpid(pid, &status, 0) != pid || status)
			give_up("child");
		close(to_worker[0]);
		close(to_worker[1]);
		close(from_worker[0]);
		close(from_worker[1]);
	}
}

static void show(const char *step)
{
	struct side side =
		side_of("/proc/self", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));

	printf("{\"step\":\"%s\",\"pid\":%d,", step, getpid());
	print_side("side", &side);
	puts("}");
	fflush(stdout);
}

static void exec_as_user(long rounds, char *program)
{
	char *const arguments[] = { program, "show", NULL };
	const gid_t none = 0;
	int status;

	while (rounds--) {
		pid_t pid = fork();

		if (!pid) {
			if (setgroups(0, &none) ||
			    setresgid(1000, 1000, 1000) ||
			    setresuid(1000, 1000, 1000))
				give_up("setresuid");
			show("before");
			execv(program, arguments);
			give_up(program);
		}
		if (waitpid(pid, &status, 0) != pid || status)
			give_up("child");
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "run"))
		run(atol(argv[2]));
	else if (argc == 4 && !strcmp(argv[1], "exec"))
		exec_as_user(atol(argv[2]), argv[3]);
	else if (argc == 2 && !strcmp(argv[1], "show"))
		show("after");
	else
		return 2;
	return fflush(stdout) ? 1 : 0;
}
