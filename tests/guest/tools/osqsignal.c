// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqsignal.c - a process that sends signals to a child of its own in each way,
 * and to itself.
 *
 *	osqsignal
 *
 * First a line with both processes. Then a line for each signal to the child:
 * the number of the system call and that of the signal. Exit status 0 when each
 * call succeeded.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int holds, const char *what)
{
	if (!holds) {
		perror(what);
		exit(1);
	}
}

static void told(long number, int signal)
{
	printf("%ld %d\n", number, signal);
}

static void send_all(pid_t child)
{
	siginfo_t crafted = { .si_signo = SIGUSR2, .si_code = SI_TIMER };
	int handle = syscall(SYS_pidfd_open, child, 0);

	must(handle >= 0, "pidfd_open");
	must(!kill(child, 0), "asking whether it is there");
	must(!raise(SIGURG), "raise");
	must(!kill(child, SIGUSR1), "kill");
	told(SYS_kill, SIGUSR1);
	must(!syscall(SYS_tgkill, child, child, SIGUSR2), "tgkill");
	told(SYS_tgkill, SIGUSR2);
	must(!sigqueue(child, SIGRTMIN, (union sigval){ 0 }), "sigqueue");
	told(SYS_rt_sigqueueinfo, SIGRTMIN);
	must(!syscall(SYS_rt_sigqueueinfo, child, SIGUSR2, &crafted),
	     "a signal that looks like a timer's");
	told(SYS_rt_sigqueueinfo, SIGUSR2);
	must(!syscall(SYS_pidfd_send_signal, handle, SIGUSR1, NULL, 0),
	     "pidfd_send_signal");
	told(SYS_pidfd_send_signal, SIGUSR1);
	must(!kill(-child, SIGURG), "a group");
	told(SYS_kill, SIGURG);
	must(!kill(child, SIGKILL), "the last one");
	told(SYS_kill, SIGKILL);
	close(handle);
}

int main(void)
{
	sigset_t all;
	pid_t child;

	/* What the child is sent waits, so that only SIGKILL ends it. */
	must(!sigfillset(&all) && !sigprocmask(SIG_BLOCK, &all, NULL), "mask");
	child = fork();
	if (!child)
		for (;;)
			pause();
	must(!setpgid(child, child), "group");
	printf("%d %d\n", getpid(), child);
	send_all(child);
	must(waitpid(child, NULL, 0) == child, "wait");
	return 0;
}
