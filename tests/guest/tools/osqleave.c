// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqleave.c - a process that ends with a file and a socket open, or not.
 *
 *	osqleave leave|close FILE	write to FILE, listen, and end; "leave"
 *					leaves the closing to the kernel
 *
 * It prints its process id.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	int file, listener;

	if (argc != 3) {
		fputs("usage: osqleave leave|close FILE\n", stderr);
		return 2;
	}
	file = open(argv[2], O_WRONLY | O_CREAT, 0644);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (file < 0 || write(file, "x", 1) != 1 ||
	    bind(listener, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(listener, 1)) {
		perror("osqleave");
		return 1;
	}
	printf("%d\n", getpid());
	if (!strcmp(argv[1], "close") && (close(file) || close(listener)))
		return 1;
	return 0;
}
