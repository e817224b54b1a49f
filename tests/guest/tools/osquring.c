// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osquring.c - let io_uring be the last to have a changed file.
 *
 *	osquring FILE TIMES
 *
 * Opens FILE, which is not empty, TIMES times, changes it through a mapping,
 * gives the files to a ring and lets go of everything: a worker of the kernel
 * takes the ring apart, and closes the files. Returns when it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TIMES_MAX 1000

static void must(int worked, const char *what)
{
	if (worked)
		return;
	perror(what);
	exit(1);
}

static void change(int fd)
{
	char *content =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	must(content != MAP_FAILED, "mmap");
	content[0]++;
	munmap(content, 4096);
}

/* A lease for reading is refused while anybody has the file open to write. */
static void wait_for_writers(const char *path)
{
	const struct timespec while_ns = { .tv_nsec = 20000000 };
	int fd = open(path, O_RDONLY | O_CLOEXEC), left = 1000;

	while (fcntl(fd, F_SETLEASE, F_RDLCK) && --left) {
		must(errno == EAGAIN, "lease");
		nanosleep(&while_ns, NULL);
	}
	must(left, "the files are still open");
}

int main(int argc, char **argv)
{
	struct io_uring_params params = { 0 };
	int files[TIMES_MAX], times, ring, i;

	times = argc == 3 ? atoi(argv[2]) : 0;
	if (times < 1 || times > TIMES_MAX) {
		fputs("usage: osquring FILE TIMES\n", stderr);
		return 2;
	}
	for (i = 0; i < times; i++) {
		files[i] = open(argv[1], O_RDWR | O_CLOEXEC);
		must(files[i] >= 0, argv[1]);
	}
	change(files[0]);
	ring = (int)syscall(SYS_io_uring_setup, 1, &params);
	must(ring >= 0, "io_uring_setup");
	must(!syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, files,
		      times),
	     "IORING_REGISTER_FILES");
	for (i = 0; i < times; i++)
		close(files[i]);
	close(ring);
	wait_for_writers(argv[1]);
	return 0;
}
