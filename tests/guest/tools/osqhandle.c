// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqhandle.c - open a file without a name.
 *
 *	osqhandle save FILE HANDLE	put FILE's handle into the file HANDLE
 *	osqhandle open FOLDER HANDLE	open and close it, FOLDER's file system
 *
 * When the kernel has forgotten the file's name meanwhile, it does not look
 * for it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

union handle {
	struct file_handle handle;
	char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static int save(const char *file, const char *to)
{
	union handle one = { .handle.handle_bytes = MAX_HANDLE_SZ };
	FILE *out = fopen(to, "we");
	int mount;

	if (!out || name_to_handle_at(AT_FDCWD, file, &one.handle, &mount, 0) ||
	    fwrite(&one, sizeof(one), 1, out) != 1)
		return -1;
	return fclose(out);
}

static int open_saved(const char *folder, const char *from)
{
	int top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FILE *in = fopen(from, "re");
	union handle one;
	int fd;

	if (top < 0 || !in || fread(&one, sizeof(one), 1, in) != 1)
		return -1;
	fclose(in);
	fd = open_by_handle_at(top, &one.handle, O_RDONLY | O_CLOEXEC);
	close(top);
	return fd < 0 ? -1 : close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	if (strcmp(argv[1], "save") ? open_saved(argv[2], argv[3])
				    : save(argv[2], argv[3])) {
		perror("osqhandle");
		return 1;
	}
	return 0;
}
