// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* test_client.c - tests of libosq and its JSON on good and on broken rings. */
#include "fixture.h"
#include "json.h"
#include "libosq.h"

/* The sizes of fixed parts, where tails begin. */
enum {
	EXEC = sizeof(struct osq_exec),
	MODULE = sizeof(struct osq_module)
};

static struct osq_ring ring;

/* Return a client of @ring, without a device. */
static struct osq_client client_of_ring(void)
{
	struct osq_client client = {
		.fd = -1,
		.ring = ring.data,
		.ring_bytes = ring.size,
		.max_pos = ring.commit_pos,
	};

	return client;
}

static struct osq_exec *put_exec(const char *argv, u32 argv_len)
{
	static union {
		struct osq_exec exec;
		char bytes[2048];
	} one;

	EXPECT(sizeof(one.exec) + argv_len <= sizeof(one));
	memset(&one, 0, sizeof(one));
	memcpy(one.bytes + sizeof(one.exec), argv, argv_len);
	one.exec.head.type = OSQ_TYPE_EXEC;
	one.exec.head.len = sizeof(one.exec) + argv_len;
	one.exec.path.off = sizeof(one.exec);
	one.exec.filename.off = sizeof(one.exec);
	one.exec.argv.off = sizeof(one.exec);
	one.exec.argv.len = argv_len;
	one.exec.env.off = sizeof(one.exec);
	one.exec.cwd.off = sizeof(one.exec);
	one.exec.cgroup.off = sizeof(one.exec);
	EXPECT_EQ(osq_ring_put(&ring, &one.exec.head, OSQ_RANK_ANY), 0);
	return (void *)(ring.data + one.exec.head.pos);
}

static int print(const struct osq_record *record, char *line, size_t size)
{
	FILE *out = fmemopen(line, size, "w");
	int err = json_record(out, record);

	fclose(out);
	return err;
}

/* Records come in order, and a discarded one is skipped. */
static void test_next_skips_discarded_records(void)
{
	const struct osq_record *record;
	struct osq_client client;
	struct osq_slot slot;

	ring_setup(&ring, SMALL);
	put_marked(&ring, 64, 1);
	osq_ring_reserve(&ring, OSQ_TYPE_EXEC, 64, OSQ_RANK_ANY, &slot);
	osq_ring_discard(&ring, &slot);
	put_marked(&ring, 64, 1);
	client = client_of_ring();

	EXPECT_EQ(osq_client_next(&client, &record), 1);
	EXPECT_EQ(record->seq, 1);
	EXPECT_EQ(osq_client_next(&client, &record), 1);
	EXPECT_EQ(record->seq, 3);
	EXPECT_EQ(osq_client_next(&client, &record), 0);
	EXPECT_EQ(client.read_pos, client.max_pos);
	ring_teardown(&ring);
}

/* Each broken field of a header gives an error. */
static void test_a_broken_header_is_an_error(void)
{
	static const u32 lengths[] = { 0, 8, 63, 65, 136, 32776, ~0u, ~7u };
	const struct osq_record *record;
	struct osq_record *first;
	struct osq_client client;
	size_t i;

	ring_setup(&ring, SMALL);
	put_marked(&ring, 128, 1);
	first = (void *)ring.data;

	for (i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		first->len = lengths[i];
		client = client_of_ring();
		EXPECT_EQ(osq_client_next(&client, &record), -EBADMSG);
	}
	first->len = 128;
	first->pos = 8;
	client = client_of_ring();
	EXPECT_EQ(osq_client_next(&client, &record), -EBADMSG);
	first->pos = 0;
	client.last_seq = 1;
	EXPECT_EQ(osq_client_next(&client, &record), -EBADMSG);
	client.last_seq = 0;
	EXPECT_EQ(osq_client_next(&client, &record), 1);
	ring_teardown(&ring);
}

/* A span outside its record gives NULL, and no line is printed. */
static void test_a_span_outside_its_record_is_refused(void)
{
	static const struct osq_span wrong[] = {
		{ 0, 1 },    { 63, 1 },	      { 64, ~0u },  { ~0u, 2 },
		{ EXEC, 9 }, { EXEC + 9, 0 }, { ~0u, ~0u },
	};
	struct osq_exec *exec;
	char line[2048];
	size_t i;

	ring_setup(&ring, SMALL);
	exec = put_exec("abcdefgh", 8);

	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		EXPECT(!osq_client_bytes(&exec->head, &wrong[i]));
		exec->argv = wrong[i];
		EXPECT_EQ(print(&exec->head, line, sizeof(line)), -1);
	}
	exec->head.len = sizeof(*exec) - 8;
	EXPECT_EQ(print(&exec->head, line, sizeof(line)), -1);
	ring_teardown(&ring);
}

/* Any bytes give valid JSON; an invalid UTF-8 byte is a lone surrogate. */
static void test_bytes_become_valid_json(void)
{
	static const char argv[] = "a\"\\\n\0\xff\xc3\xa9\0\xed\xa0\x80\0\0";
	char line[2048] = "";

	ring_setup(&ring, SMALL);

	EXPECT_EQ(print(&put_exec(argv, sizeof(argv) - 1)->head, line,
			sizeof(line)),
		  0);

	EXPECT(strstr(line,
		      "\"argv\":[\"a\\\"\\\\\\u000a\",\"\\udcff\xc3\xa9\","
		      "\"\\udced\\udca0\\udc80\",\"\"],\"env\":[]}\n"));
	ring_teardown(&ring);
}

/* What a terminal obeys, or what turns text around, is escaped. */
static void test_nothing_in_a_line_is_obeyed_by_a_terminal(void)
{
	static const char argv[] = "\x1b[31m\xc2\x9b"
				   "31m\x7f\0\xe2\x80\xaetxt\xe2\x81\xa6\0"
				   "\xc2\xa0\xe2\x82\xac\0";
	char line[2048] = "";

	ring_setup(&ring, SMALL);

	EXPECT_EQ(print(&put_exec(argv, sizeof(argv) - 1)->head, line,
			sizeof(line)),
		  0);

	EXPECT(strstr(line, "\"argv\":[\"\\u001b[31m\\u009b31m\\u007f\","
			    "\"\\u202etxt\\u2066\","
			    "\"\xc2\xa0\xe2\x82\xac\"],\"env\":[]}\n"));
	ring_teardown(&ring);
}

/* A line that would be too long has its strings cut, and is still JSON. */
static void test_a_line_is_cut_to_what_was_asked(void)
{
	static char argv[700], line[8192];
	struct osq_exec *exec;
	FILE *out;

	memset(argv, 1, sizeof(argv) - 1);
	ring_setup(&ring, SMALL);
	exec = put_exec(argv, sizeof(argv));

	EXPECT_EQ(print(&exec->head, line, sizeof(line)), 0);
	EXPECT(strlen(line) > JSON_LINE_MIN_BYTES);
	EXPECT(!strstr(line, "\"cut\""));

	memset(line, 0, sizeof(line));
	out = fmemopen(line, sizeof(line), "w");
	EXPECT_EQ(json_record_within(out, &exec->head, JSON_LINE_MIN_BYTES), 0);
	fclose(out);
	EXPECT(strlen(line) <= JSON_LINE_MIN_BYTES);
	EXPECT(strstr(line, ",\"cut\":true,"));
	EXPECT(strstr(line, "\\u0001\"],\"env\":[]}\n"));

	memset(line, 0, sizeof(line));
	out = fmemopen(line, sizeof(line), "w");
	EXPECT_EQ(json_record_within(out, &exec->head, sizeof(line)), 0);
	fclose(out);
	EXPECT(!strstr(line, "\"cut\""));
	ring_teardown(&ring);
}

/* The line has the old and new credentials, and the names that differ. */
static void test_changed_credentials_are_printed(void)
{
	struct osq_cred cred = {
		.head = { .type = OSQ_TYPE_CRED, .len = sizeof(cred) },
		.action = OSQ_CRED_EXEC,
		.changed = OSQ_CRED_UIDS | OSQ_CRED_GROUPS,
		.auid = ~0u,
		.old = { .uid = 1, .fsgid = 2, .bounding = 1ull << 40 },
		.now = { .uid = 3, .ambient = 5, .groups = 6 },
	};
	char line[2048] = "";

	EXPECT_EQ(print(&cred.head, line, sizeof(line)), 0);
	EXPECT(strstr(line, ",\"action\":\"exec\",\"auid\":4294967295,"
			    "\"session\":0,\"changed\":[\"uids\",\"groups\"],"
			    "\"old\":{\"uid\":1,"));
	EXPECT(strstr(line, "\"fsgid\":2,"));
	EXPECT(strstr(line, "\"bounding\":1099511627776,\"ambient\":0,"));
	EXPECT(strstr(line, "\"now\":{\"uid\":3,"));
	EXPECT(strstr(line, "\"ambient\":5,\"securebits\":0,\"user_ns\":0,"
			    "\"groups\":6}}\n"));
	cred.head.len -= 8;
	EXPECT_EQ(print(&cred.head, line, sizeof(line)), -1);
}

/* The line of a LOST record has all drops, by reason and in total. */
static void test_a_lost_record_is_printed(void)
{
	char line[2048] = "";

	ring_setup(&ring, SMALL);
	osq_ring_drop(&ring, OSQ_TYPE_EXEC, OSQ_DROP_NESTED, 2);
	put_marked(&ring, 64, 1);

	EXPECT_EQ(print(record_at(&ring, 0), line, sizeof(line)), 0);

	EXPECT(strstr(line, "{\"type\":\"lost\",\"seq\":3,"));
	EXPECT(strstr(line, "\"first_seq\":1,\"last_seq\":2,"));
	EXPECT(strstr(line, "\"dropped_nested\":2,"));
	EXPECT(strstr(line, "\"dropped\":2,\"types\":[\"exec\"]}\n"));
	ring_teardown(&ring);
}

/* Counters that do not add up are noticed, whichever of them is wrong. */
static void test_counters_that_do_not_add_up_are_noticed(void)
{
	struct osq_sync sync = { .attempts = 15,
				 .committed = 8,
				 .consumed = 4,
				 .pending = 3,
				 .reset = 1,
				 .in_flight = 2,
				 .dropped = { 4, 0, 1 },
				 .dropped_of = { [OSQ_TYPE_EXEC] = 5 } };
	__u64 *terms[] = { &sync.attempts,	&sync.committed,
			   &sync.consumed,	&sync.pending,
			   &sync.reset,		&sync.in_flight,
			   &sync.dropped[0],	&sync.dropped[7],
			   &sync.dropped_of[31] };
	size_t i;

	EXPECT(!osq_client_broken_law(&sync));
	for (i = 0; i < sizeof(terms) / sizeof(*terms); i++) {
		++*terms[i];
		EXPECT(osq_client_broken_law(&sync));
		--*terms[i];
	}
}

/* Counters by type that do not add up are noticed, too. */
static void test_stats_that_do_not_add_up_are_noticed(void)
{
	struct osq_stats stats = { 0 };
	__u64 *terms[] = {
		&stats.attempts,
		&stats.committed,
		&stats.consumed,
		&stats.pending,
		&stats.reset,
		&stats.in_flight,
		&stats.type[OSQ_TYPE_EXEC].attempts,
		&stats.type[OSQ_TYPE_EXEC].committed,
		&stats.type[31].dropped[7],
	};
	size_t i;

	ring_setup(&ring, SMALL);
	put_marked(&ring, 64, 1);
	osq_ring_drop(&ring, OSQ_TYPE_FORK, OSQ_DROP_NESTED, 2);
	put_marked(&ring, 64, 1);
	osq_ring_stats(&ring, &stats);

	EXPECT(!osq_client_broken_stats(&stats));
	for (i = 0; i < sizeof(terms) / sizeof(*terms); i++) {
		++*terms[i];
		EXPECT(osq_client_broken_stats(&stats));
		--*terms[i];
	}
	ring_teardown(&ring);
}

/* Flip six random bits in the first records and read them as a client. */
static u64 read_garbled(const u8 *good, char *line, size_t size)
{
	const struct osq_record *record;
	struct osq_client client;
	u64 handed = 0;
	int i;

	memcpy(ring.data, good, SMALL);
	for (i = 0; i < 6; i++)
		ring.data[random() % 600] ^= (u8)(1 << random() % 8);
	client = client_of_ring();
	while (osq_client_next(&client, &record) == 1) {
		print(record, line, size);
		handed++;
	}
	return handed;
}

/* As many fill a small ring. */
#define GOOD_RECORDS 23

/* A garbled ring never makes the reader access memory outside of it. */
static void test_garbage_does_not_crash(void)
{
	u8 good[SMALL];
	char line[65536];
	u64 handed = 0;
	int round;

	ring_setup(&ring, SMALL);
	for (round = 0; round < GOOD_RECORDS; round++)
		put_exec("some\0words", 10);
	memcpy(good, ring.data, SMALL);
	srandom(1);

	for (round = 0; round < 3000; round++)
		handed += read_garbled(good, line, sizeof(line));

	EXPECT(handed > 3000);
	EXPECT(handed < 3000 * GOOD_RECORDS);
	ring_teardown(&ring);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_next_skips_discarded_records),
	KTAP_TEST(test_a_broken_header_is_an_error),
	KTAP_TEST(test_a_span_outside_its_record_is_refused),
	KTAP_TEST(test_bytes_become_valid_json),
	KTAP_TEST(test_nothing_in_a_line_is_obeyed_by_a_terminal),
	KTAP_TEST(test_a_line_is_cut_to_what_was_asked),
	KTAP_TEST(test_changed_credentials_are_printed),
	KTAP_TEST(test_a_lost_record_is_printed),
	KTAP_TEST(test_counters_that_do_not_add_up_are_noticed),
	KTAP_TEST(test_stats_that_do_not_add_up_are_noticed),
	KTAP_TEST(test_garbage_does_not_crash),
};

KTAP_MAIN(tests)
