// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* test_client_types.c - the JSON of each type of records: who acts; a module. */
#include "fixture.h"
#include "json.h"
#include "libosq.h"

#define KIND(TYPE, name)                              \
	{ OSQ_TYPE_##TYPE, sizeof(struct osq_##name), \
	  offsetof(struct osq_##name, actor) }

static const struct {
	u16 type;
	u32 bytes;
	u32 actor;
} kinds[] = {
	KIND(EXEC, exec),     KIND(FORK, fork),	    KIND(EXIT, exit),
	KIND(SOCKET, socket), KIND(FILE, file),	    KIND(MODULE, module),
	KIND(CRED, cred),     KIND(PTRACE, ptrace), KIND(NAMESPACE, namespace),
	KIND(BPF, bpf),	      KIND(KEXEC, kexec),   KIND(SIGNAL, signal),
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static union {
	struct osq_record head;
	u64 words[128];
	char bytes[1024];
} one;

/* Make a record of this kind; each span of it is empty, at its end. */
static void make(size_t kind)
{
	const struct osq_actor actor = { 7002, 7003, 7004, 7005 };
	size_t at;

	for (at = 0; at < sizeof(one.words) / sizeof(one.words[0]); at++)
		one.words[at] = kinds[kind].bytes;
	memset(&one.head, 0, sizeof(one.head));
	one.head.type = kinds[kind].type;
	one.head.len = kinds[kind].bytes;
	one.head.parent_start_boot_ns = 7001;
	memcpy(one.bytes + kinds[kind].actor, &actor, sizeof(actor));
}

static int print(const struct osq_record *record, char *line, size_t size)
{
	FILE *out = fmemopen(line, size, "w");
	int err = json_record(out, record);

	fclose(out);
	return err;
}

/* Each line has the start of the parent, and both programs. */
static void test_every_type_tells_who_acts(void)
{
	size_t kind;

	for (kind = 0; kind < KINDS; kind++) {
		char line[4096] = "";

		make(kind);
		EXPECT_EQ(print(&one.head, line, sizeof(line)), 0);
		EXPECT(strstr(line, ",\"parent_start_boot_ns\":7001,"));
		EXPECT(strstr(line, ",\"program_dev\":7002,"
				    "\"program_ino\":7003,"
				    "\"parent_dev\":7004,"
				    "\"parent_ino\":7005"));
	}
}

/* A record that ends before that, as an older driver's does, is refused. */
static void test_a_record_without_the_actor_is_refused(void)
{
	size_t kind;

	for (kind = 0; kind < KINDS; kind++) {
		char line[4096] = "";

		make(kind);
		one.head.len = kinds[kind].actor;
		EXPECT_EQ(print(&one.head, line, sizeof(line)), -1);
	}
}

/* With any of its spans outside of the record, there is no line. */
static void expect_spans_are_checked(struct osq_record *record,
				     struct osq_span *spans[], size_t count)
{
	char line[2048];
	size_t i;

	for (i = 0; i < count; i++) {
		struct osq_span good = *spans[i];

		spans[i]->len = record->len;
		EXPECT_EQ(print(record, line, sizeof(line)), -1);
		*spans[i] = good;
	}
}

/* A later version's action has a line, too. */
static void expect_unknown_action(struct osq_record *record, u32 *action)
{
	char line[2048] = "";

	*action = 77;
	EXPECT_EQ(print(record, line, sizeof(line)), 0);
	EXPECT(strstr(line, "\"action\":\"unknown\""));
}

enum {
	TAIL = sizeof(struct osq_module)
};

static struct {
	struct osq_module module;
	char tail[16];
} loaded = { .module = { .head = { .type = OSQ_TYPE_MODULE,
				   .len = sizeof(loaded) },
			 .action = OSQ_MODULE_LOADED,
			 .taints = 0x3000,
			 .size_bytes = 1ull << 32,
			 .name = { TAIL, 3 },
			 .version = { TAIL + 3, 0 },
			 .srcversion = { TAIL + 3, 2 },
			 .args = { TAIL + 5, 3 },
			 .path = { TAIL + 8, 5 },
			 .file_dev = 1ull << 35,
			 .file_ino = 12,
			 .error = 8,
			 .args_bytes = 700 },
	     .tail = "osqABa=1/o.ko" };

/* A module's line has its five texts; with a bad span there is no line. */
static void test_a_module_is_printed(void)
{
	struct osq_module *module = &loaded.module;
	struct osq_span *spans[] = { &module->name, &module->version,
				     &module->srcversion, &module->args,
				     &module->path };
	char line[2048] = "";

	EXPECT_EQ(print(&module->head, line, sizeof(line)), 0);
	EXPECT(strstr(line, "{\"type\":\"module\","));
	EXPECT(strstr(line, ",\"action\":\"loaded\",\"taints\":12288,"
			    "\"size_bytes\":4294967296,\"args_bytes\":700,"
			    "\"error\":8,\"file_dev\":34359738368,"
			    "\"file_ino\":12,"
			    "\"name\":\"osq\",\"version\":\"\","
			    "\"srcversion\":\"AB\",\"args\":\"a=1\","
			    "\"path\":\"/o.ko\"}\n"));
	expect_spans_are_checked(&module->head, spans, 5);
	module->action = OSQ_MODULE_FAILED;
	EXPECT_EQ(print(&module->head, line, sizeof(line)), 0);
	EXPECT(strstr(line, "\"action\":\"failed\""));
	expect_unknown_action(&module->head, &module->action);
	module->head.len = 104;
	EXPECT_EQ(print(&module->head, line, sizeof(line)), -1);
}

/* A line of ptrace names the call, the caller and the target. */
static void test_ptrace_is_printed(void)
{
	struct osq_ptrace made = {
		.head = { .type = OSQ_TYPE_PTRACE, .len = sizeof(made) },
		.action = OSQ_PTRACE_ACCESS,
		.syscall = 311,
		.uid = 1,
		.euid = 2,
		.auid = 3,
		.session = 4,
		.target_pid = 5,
		.target_tid = 6,
		.target_start_boot_ns = 1ull << 40,
		.target_dev = 7,
		.target_ino = 8,
		.target_uid = 9,
		.target_euid = 10,
	};
	char line[2048] = "";

	EXPECT_EQ(print(&made.head, line, sizeof(line)), 0);
	EXPECT(strstr(line, "{\"type\":\"ptrace\","));
	EXPECT(strstr(line,
		      ",\"action\":\"access\",\"syscall\":311,\"uid\":1,"
		      "\"euid\":2,\"auid\":3,\"session\":4,\"target_pid\":5,"
		      "\"target_tid\":6,"
		      "\"target_start_boot_ns\":1099511627776,"
		      "\"target_dev\":7,\"target_ino\":8,\"target_uid\":9,"
		      "\"target_euid\":10}\n"));
	made.action = 77;
	EXPECT_EQ(print(&made.head, line, sizeof(line)), 0);
	EXPECT(strstr(line, "\"action\":\"unknown\""));
}

enum {
	NAMESPACE = sizeof(struct osq_namespace)
};

static struct {
	struct osq_namespace one;
	char tail[16];
} change = { .one = { .head = { .type = OSQ_TYPE_NAMESPACE,
				.len = sizeof(change) },
		      .caller = { 165, 1, 2, 3, 4, 0 },
		      .mount_flags = 1ull << 33,
		      .dev = 5,
		      .action = OSQ_NAMESPACE_MOUNT,
		      .changed = OSQ_NS_PID | OSQ_NS_TIME,
		      .mnt_ns = 6,
		      .net_ns = 7,
		      .uts_ns = 8,
		      .ipc_ns = 9,
		      .user_ns = 10,
		      .cgroup_ns = 11,
		      .pid_ns = 12,
		      .time_ns = 13,
		      .path = { NAMESPACE, 4 },
		      .source = { NAMESPACE + 4, 3 },
		      .fs = { NAMESPACE + 7, 5 } },
	     .tail = "/mntsrctmpfs" };

/* A line has where, what and who; with a bad span there is no line. */
static void test_a_change_of_namespaces_is_printed(void)
{
	struct osq_namespace *one = &change.one;
	struct osq_span *spans[] = { &one->path, &one->source, &one->fs };
	char line[2048] = "";

	EXPECT_EQ(print(&one->head, line, sizeof(line)), 0);
	EXPECT(strstr(line, "{\"type\":\"namespace\","));
	EXPECT(strstr(line,
		      ",\"action\":\"mount\",\"syscall\":165,\"uid\":1,"
		      "\"euid\":2,\"auid\":3,\"session\":4,"
		      "\"mount_flags\":8589934592,\"dev\":5,"
		      "\"changed\":[\"pid\",\"time\"],\"mnt_ns\":6,"
		      "\"net_ns\":7,\"uts_ns\":8,\"ipc_ns\":9,"
		      "\"user_ns\":10,\"cgroup_ns\":11,\"pid_ns\":12,"
		      "\"time_ns\":13,\"path\":\"/mnt\",\"source\":\"src\","
		      "\"fs\":\"tmpfs\"}\n"));
	expect_spans_are_checked(&one->head, spans, 3);
	expect_unknown_action(&one->head, &one->action);
}

/* A line has the program and what it is for; a bad span gives no line. */
static void test_a_bpf_program_is_printed(void)
{
	enum {
		END = sizeof(struct osq_bpf)
	};
	static struct {
		struct osq_bpf bpf;
		char tail[8];
	} made = { .bpf = { .head = { .type = OSQ_TYPE_BPF,
				      .len = sizeof(made) },
			    .caller = { 321, 1, 2, 3, 4, 0 },
			    .action = OSQ_BPF_ATTACH,
			    .command = 17,
			    .prog_id = 5,
			    .prog_type = 6,
			    .attach_type = 7,
			    .target_fd = ~0u,
			    .insns = 8,
			    .tag = { 0x0a, 0xff, 0, 1, 2, 3, 4, 5 },
			    .name = { END, 3 },
			    .target = { END + 3, 4 } },
		   .tail = "runexec" };
	struct osq_span *spans[] = { &made.bpf.name, &made.bpf.target };
	char line[2048] = "";

	EXPECT_EQ(print(&made.bpf.head, line, sizeof(line)), 0);
	EXPECT(strstr(line, "{\"type\":\"bpf\","));
	EXPECT(strstr(line,
		      ",\"action\":\"attach\",\"syscall\":321,\"uid\":1,"
		      "\"euid\":2,\"auid\":3,\"session\":4,\"command\":17,"
		      "\"prog_id\":5,\"prog_type\":6,\"attach_type\":7,"
		      "\"target_fd\":-1,\"insns\":8,"
		      "\"tag\":\"0aff000102030405\",\"name\":\"run\","
		      "\"target\":\"exec\"}\n"));
	expect_spans_are_checked(&made.bpf.head, spans, 2);
	expect_unknown_action(&made.bpf.head, &made.bpf.action);
}

/* A line has the file and the command line; a bad span gives no line. */
static void test_a_kernel_for_kexec_is_printed(void)
{
	enum {
		END = sizeof(struct osq_kexec)
	};
	static struct {
		struct osq_kexec kexec;
		char tail[8];
	} made = { .kexec = { .head = { .type = OSQ_TYPE_KEXEC,
					.len = sizeof(made) },
			      .caller = { 320, 1, 2, 3, 4, 0 },
			      .action = OSQ_KEXEC_BY_FILE,
			      .kexec_flags = 4,
			      .file_dev = 5,
			      .file_ino = 6,
			      .path = { END, 2 },
			      .cmdline = { END + 2, 5 } },
		   .tail = "/kquiet" };
	struct osq_span *spans[] = { &made.kexec.path, &made.kexec.cmdline };
	char line[2048] = "";

	EXPECT_EQ(print(&made.kexec.head, line, sizeof(line)), 0);
	EXPECT(strstr(line, "{\"type\":\"kexec\","));
	EXPECT(strstr(line, ",\"action\":\"by_file\",\"syscall\":320,\"uid\":1,"
			    "\"euid\":2,\"auid\":3,\"session\":4,"
			    "\"kexec_flags\":4,\"file_dev\":5,\"file_ino\":6,"
			    "\"path\":\"/k\",\"cmdline\":\"quiet\"}\n"));
	expect_spans_are_checked(&made.kexec.head, spans, 2);
	expect_unknown_action(&made.kexec.head, &made.kexec.action);
}

/* A line names the signal, who sends it, and the target. */
static void test_a_signal_is_printed(void)
{
	struct osq_signal made = {
		.head = { .type = OSQ_TYPE_SIGNAL, .len = sizeof(made) },
		.caller = { 62, 1, 2, 3, 4, 0 },
		.signal = 9,
		.target = { 5, 6, 1ull << 40, 7, 8, 9, 10 },
	};
	char line[2048] = "";

	EXPECT_EQ(print(&made.head, line, sizeof(line)), 0);
	EXPECT(strstr(line, "{\"type\":\"signal\","));
	EXPECT(strstr(line,
		      ",\"syscall\":62,\"uid\":1,\"euid\":2,\"auid\":3,"
		      "\"session\":4,\"signal\":9,\"target_pid\":5,"
		      "\"target_tid\":6,"
		      "\"target_start_boot_ns\":1099511627776,"
		      "\"target_dev\":7,\"target_ino\":8,\"target_uid\":9,"
		      "\"target_euid\":10}\n"));
}

/* The line of an exit has the status and the largest memory. */
static void test_an_exit_is_printed(void)
{
	struct osq_exit made = {
		.head = { .type = OSQ_TYPE_EXIT, .len = sizeof(made) },
		.status = 0x8b,
		.last = 1,
		.max_rss_bytes = 1ull << 40,
	};
	char line[2048] = "";

	EXPECT_EQ(print(&made.head, line, sizeof(line)), 0);
	EXPECT(strstr(line, ",\"status\":139,\"last\":1,"
			    "\"max_rss_bytes\":1099511627776}\n"));
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_every_type_tells_who_acts),
	KTAP_TEST(test_a_record_without_the_actor_is_refused),
	KTAP_TEST(test_a_module_is_printed),
	KTAP_TEST(test_ptrace_is_printed),
	KTAP_TEST(test_a_change_of_namespaces_is_printed),
	KTAP_TEST(test_a_bpf_program_is_printed),
	KTAP_TEST(test_a_kernel_for_kexec_is_printed),
	KTAP_TEST(test_a_signal_is_printed),
	KTAP_TEST(test_an_exit_is_printed),
};

KTAP_MAIN(tests)
