// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqkexec.c - ask kexec for what it does without another kernel: unload what
 * is loaded, and refuse what is none.
 *
 *	osqkexec FILE	no kernel, and not empty
 *
 * First a line with the process and the numbers of the file's device and inode.
 * Then a line for each call: its name, the number of the system call, and its
 * errno, 0 for none. Exit status 0 when each call was made.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void told(const char *name, long number, long result)
{
	printf("%s %ld %d\n", name, number, result ? errno : 0);
}

int main(int argc, char **argv)
{
	static const char cmdline[] = "quiet osq=1";
	struct stat about;
	int file;

	if (argc != 2)
		return 2;
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (file < 0 || fstat(file, &about))
		return 2;
	printf("%d %llu %llu\n", getpid(),
	       (unsigned long long)major(about.st_dev) << 32 |
		       minor(about.st_dev),
	       (unsigned long long)about.st_ino);
	told("unload", SYS_kexec_load,
	     syscall(SYS_kexec_load, 0, 0, NULL, KEXEC_ARCH_DEFAULT));
	told("by_file", SYS_kexec_file_load,
	     syscall(SYS_kexec_file_load, file, -1, sizeof(cmdline), cmdline,
		     KEXEC_FILE_NO_INITRAMFS));
	return 0;
}
