// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqrss.c - children that use some memory and end, and what wait4 tells of it.
 *
 *	osqrss MIB...	a child for each number; it touches so many MiB
 *
 * A line for each child: its pid, and its largest memory in KiB as the kernel
 * reports it to its parent. Exit status 0 when all of them ended as they should.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int use(size_t bytes)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	memset(memory, 1, bytes);
	/* What was used before counts, too. */
	return munmap(memory, bytes) != 0;
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		struct rusage usage;
		int status;
		pid_t child = fork();

		if (!child)
			_exit(use((size_t)atoi(argv[i]) << 20));
		if (wait4(child, &status, 0, &usage) != child || status)
			return 1;
		printf("%d %ld\n", child, usage.ru_maxrss);
		fflush(stdout);
	}
	return 0;
}
