// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqbpf.c - load, open and attach BPF programs by bpf(2). Needs root.
 *
 *	osqbpf CGROUP	a folder of the unified hierarchy, to attach to
 *
 * A line for each call that should have a record: the action, the command, the
 * number, type and tag of the program as the kernel's own BPF_OBJ_GET_INFO_BY_FD
 * has them, its name, and what it is attached to ("-" for nothing that has a
 * name). Exit status 0 when each call did what it should.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* r0 = 1; exit */
static const struct bpf_insn program[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
	{ .code = BPF_JMP | BPF_EXIT },
};

static void must(int holds, const char *what)
{
	if (!holds) {
		perror(what);
		exit(1);
	}
}

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* Print what the kernel knows of a program, for a call that was made. */
static void told(const char *action, int command, int fd, const char *to)
{
	struct bpf_prog_info info = { 0 };
	union bpf_attr attr = { .info = { .bpf_fd = fd,
					  .info_len = sizeof(info),
					  .info = (unsigned long)&info } };
	size_t i;

	must(!bpf(BPF_OBJ_GET_INFO_BY_FD, &attr), "info");
	printf("%s %d %u %u ", action, command, info.id, info.type);
	for (i = 0; i < sizeof(info.tag); i++)
		printf("%02x", info.tag[i]);
	printf(" %s %s\n", info.name, to);
}

static int load(int type, const char *name)
{
	union bpf_attr attr = {
		.prog_type = type,
		.insns = (unsigned long)program,
		.insn_cnt = sizeof(program) / sizeof(program[0]),
		.license = (unsigned long)"GPL",
	};
	int fd;

	strncpy(attr.prog_name, name, sizeof(attr.prog_name) - 1);
	fd = bpf(BPF_PROG_LOAD, &attr);
	must(fd >= 0, name);
	told("load", BPF_PROG_LOAD, fd, "-");
	return fd;
}

/* The verifier refuses a program that does not end: no record. */
static void load_refused(void)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (unsigned long)program,
		.insn_cnt = 1,
		.license = (unsigned long)"GPL",
	};

	must(bpf(BPF_PROG_LOAD, &attr) < 0, "an endless program");
}

static void open_by_number(int fd)
{
	struct bpf_prog_info info = { 0 };
	union bpf_attr attr = { .info = { .bpf_fd = fd,
					  .info_len = sizeof(info),
					  .info = (unsigned long)&info } };
	union bpf_attr wanted = { 0 };

	must(!bpf(BPF_OBJ_GET_INFO_BY_FD, &attr), "info");
	wanted.prog_id = info.id;
	fd = bpf(BPF_PROG_GET_FD_BY_ID, &wanted);
	must(fd >= 0, "open by number");
	told("open", BPF_PROG_GET_FD_BY_ID, fd, "-");
	close(fd);
}

static void attach_to_group(int fd, const char *folder)
{
	union bpf_attr attr = { 0 };
	int group = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), link;

	must(group >= 0, folder);
	attr.target_fd = group;
	attr.attach_bpf_fd = fd;
	attr.attach_type = BPF_CGROUP_INET_EGRESS;
	must(!bpf(BPF_PROG_ATTACH, &attr), "attach");
	told("attach", BPF_PROG_ATTACH, fd, "-");
	must(!bpf(BPF_PROG_DETACH, &attr), "detach");
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = fd;
	attr.link_create.target_fd = group;
	attr.link_create.attach_type = BPF_CGROUP_INET_EGRESS;
	link = bpf(BPF_LINK_CREATE, &attr);
	must(link >= 0, "link");
	told("attach", BPF_LINK_CREATE, fd, "-");
	close(link);
	close(group);
}

static void attach_to_tracepoint(int fd)
{
	union bpf_attr attr = { .raw_tracepoint = {
					.name = (unsigned long)"sched_switch",
					.prog_fd = fd } };
	int link = bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);

	must(link >= 0, "raw tracepoint");
	told("attach", BPF_RAW_TRACEPOINT_OPEN, fd, "sched_switch");
	close(link);
}

int main(int argc, char **argv)
{
	int group, raw;

	if (argc != 2)
		return 2;
	printf("%d\n", getpid());
	group = load(BPF_PROG_TYPE_CGROUP_SKB, "osq_group");
	load_refused();
	open_by_number(group);
	attach_to_group(group, argv[1]);
	raw = load(BPF_PROG_TYPE_RAW_TRACEPOINT, "osq_raw");
	attach_to_tracepoint(raw);
	return 0;
}
