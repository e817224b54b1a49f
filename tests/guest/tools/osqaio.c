// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqaio.c - let the kernel be the last to close a file.
 *
 *	osqaio FILE TRIES
 *
 * Writes to FILE without waiting and closes it at once: when the write ends
 * after the close, an interrupt or a worker of the kernel has the last
 * reference, and a kernel thread does what closing does. So TRIES times. FILE
 * is on a file system that takes O_DIRECT.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BYTES (1u << 20)

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void write_and_close(aio_context_t context, const char *path,
			    void *bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
	struct iocb order = {
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_fildes = (__u32)fd,
		.aio_buf = (__u64)(unsigned long)bytes,
		.aio_nbytes = BYTES,
	};
	struct iocb *orders[] = { &order };
	struct io_event done;

	if (fd < 0)
		fail(path);
	if (syscall(SYS_io_submit, context, 1L, orders) != 1)
		fail("io_submit");
	close(fd);
	if (syscall(SYS_io_getevents, context, 1L, 1L, &done, NULL) != 1 ||
	    done.res != BYTES)
		fail("io_getevents");
}

int main(int argc, char **argv)
{
	aio_context_t context = 0;
	void *bytes;
	long tries;

	if (argc != 3)
		return 2;
	bytes = aligned_alloc(4096, BYTES);
	if (!bytes || syscall(SYS_io_setup, 1L, &context))
		fail("io_setup");
	for (tries = strtol(argv[2], NULL, 0); tries > 0; tries--)
		write_and_close(context, argv[1], bytes);
	free(bytes);
	return 0;
}
