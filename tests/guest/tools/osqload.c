// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqload.c - give a file to the kernel as a module, and print how that ended.
 *
 *	osqload file FILE ARGS		by finit_module
 *	osqload memory FILE ARGS	by init_module
 *
 * One line: the process, the errno of the call (0 when it succeeded), and the
 * numbers of the file's device and inode. Exit status 0 however it ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static char image[32 << 20];

static long load(int by_file, int file, const char *args)
{
	ssize_t bytes;

	if (by_file)
		return syscall(SYS_finit_module, file, args, 0);
	bytes = read(file, image, sizeof(image));
	if (bytes < 0)
		exit(2);
	return syscall(SYS_init_module, image, bytes, args);
}

int main(int argc, char **argv)
{
	struct stat about;
	long result;
	int file;

	if (argc != 4)
		return 2;
	file = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (file < 0 || fstat(file, &about))
		return 2;
	result = load(!strcmp(argv[1], "file"), file, argv[3]);
	printf("%d %d %llu %llu\n", getpid(), result ? errno : 0,
	       (unsigned long long)major(about.st_dev) << 32 |
		       minor(about.st_dev),
	       (unsigned long long)about.st_ino);
	return 0;
}
