// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqaway.c - a program whose argv is swapped out between its exec and the
 * hook, which the kernel reaches only after it has mapped the whole file.
 *
 *	osqaway FILE ROUNDS	FILE is written and run; there must be swap
 *
 * The file has so many segments, each with a page to be cleared, that mapping
 * them takes long. Meanwhile this process, on another CPU, pages out the middle
 * one of the three pages that argv lies in: without address randomization they
 * are the last of user space. Emulated, every fourth round comes in time.
 */
#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEGMENTS 70 /* load_elf_phdrs: their headers fit in a page */
#define PAGE 4096ul
#define CODE_AT 0x400000ul
#define DATA_AT 0x10000000ul
#define STACK_END 0x7ffffffff000ul /* TASK_SIZE_MAX of x86-64 */
#define WORD 5000

struct slow_file {
	Elf64_Ehdr head;
	Elf64_Phdr segments[SEGMENTS];
	unsigned char code[16];
};

static void must(const char *what, int good)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

/* exit(0) */
static const unsigned char code[] = { 0x31, 0xff, 0xb8, 0x3c, 0,
				      0,    0,	  0x0f, 0x05 };

static void write_slow_file(const char *path)
{
	static struct slow_file file = {
		.head = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3,
				     ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = CODE_AT + offsetof(struct slow_file, code),
			.e_phoff = offsetof(struct slow_file, segments),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = SEGMENTS,
		},
		.segments = { {
			.p_type = PT_LOAD,
			.p_flags = PF_R | PF_X,
			.p_vaddr = CODE_AT,
			.p_filesz = sizeof(struct slow_file),
			.p_memsz = sizeof(struct slow_file),
			.p_align = PAGE,
		} },
	};
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	for (unsigned int i = 1; i < SEGMENTS; i++)
		file.segments[i] = (Elf64_Phdr){
			.p_type = PT_LOAD,
			.p_flags = PF_R | PF_W,
			.p_vaddr = DATA_AT + 2 * PAGE * i,
			.p_filesz = 16,
			.p_memsz = 32,
			.p_align = PAGE,
		};
	memcpy(file.code, code, sizeof(code));
	must(path, fd >= 0 && write(fd, &file, sizeof(file)) == sizeof(file) &&
			   !close(fd));
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must("sched_setaffinity", !sched_setaffinity(0, sizeof(set), &set));
}

/* The child waits for a byte, so that its parent is there before it runs. */
static pid_t begin(const char *path, int *go)
{
	static char first[WORD + 1], second[WORD + 1];
	char *const argv[] = { (char *)path, first, second, NULL };
	char *const env[] = { NULL };
	int ends[2];
	char byte;
	pid_t pid;

	memset(first, 'a', WORD);
	memset(second, 'b', WORD);
	must("pipe", !pipe(ends));
	pid = fork();
	must("fork", pid >= 0);
	if (!pid) {
		stay_on(1);
		must("personality", personality(ADDR_NO_RANDOMIZE) >= 0);
		must("read", read(ends[0], &byte, 1) == 1);
		close(ends[0]);
		close(ends[1]);
		execve(path, argv, env);
		must(path, 0);
	}
	close(ends[0]);
	*go = ends[1];
	return pid;
}

static void run(const char *path)
{
	struct iovec middle = { (void *)(STACK_END - 2 * PAGE), PAGE };
	int go, status = -1;
	pid_t pid = begin(path, &go);
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	must("pidfd_open", pidfd >= 0);
	must("write", write(go, "", 1) == 1);
	close(go);
	while (!waitpid(pid, &status, WNOHANG))
		syscall(SYS_process_madvise, pidfd, &middle, 1ul, MADV_PAGEOUT,
			0u);
	must(path, WIFEXITED(status) && !WEXITSTATUS(status));
	close(pidfd);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: %s FILE ROUNDS\n", argv[0]);
		return 2;
	}
	write_slow_file(argv[1]);
	stay_on(0);
	for (int round = atoi(argv[2]); round > 0; round--)
		run(argv[1]);
	return 0;
}
