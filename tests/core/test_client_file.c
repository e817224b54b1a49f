// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* test_client_file.c - tests of file records as JSON Lines, good and broken. */
#include "fixture.h"
#include "json.h"
#include "json_records.h"
#include "libosq.h"

static union {
	struct osq_file file;
	char bytes[1024];
} one;

/* Return a record with these two paths, one after the other. */
static struct osq_file *file_record(const char *path, const char *dest)
{
	struct osq_file *file = &one.file;

	memset(&one, 0, sizeof(one));
	file->head.type = OSQ_TYPE_FILE;
	file->head.len = sizeof(*file);
	file->path.off = file->head.len;
	file->path.len = (u32)strlen(path);
	memcpy(one.bytes + file->path.off, path, file->path.len);
	file->dest_path.off = file->path.off + file->path.len;
	file->dest_path.len = (u32)strlen(dest);
	memcpy(one.bytes + file->dest_path.off, dest, file->dest_path.len);
	file->head.len += file->path.len + file->dest_path.len;
	return file;
}

static int print(const struct osq_file *file, char *line, size_t size)
{
	FILE *out = fmemopen(line, size, "w");
	int err = json_record(out, &file->head);

	fclose(out);
	return err;
}

/* The line has each number under its name, and both paths. */
static void test_every_field_is_printed(void)
{
	struct osq_file *file = file_record("/a/b", "/c");
	u32 *numbers[] = { &file->uid,	     &file->euid,  &file->suid,
			   &file->fsuid,     &file->gid,   &file->egid,
			   &file->sgid,	     &file->fsgid, &file->auid,
			   &file->session,   &file->mode,  &file->owner_uid,
			   &file->owner_gid, &file->nlink };
	char line[2048] = "";
	u32 i;

	for (i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		*numbers[i] = 101 + i;
	file->action = OSQ_FILE_RENAME;
	file->dev = 1ull << 32 | 2;
	file->ino = 77;

	EXPECT_EQ(print(file, line, sizeof(line)), 0);

	EXPECT(strstr(line, "{\"type\":\"file\","));
	EXPECT(strstr(line,
		      ",\"action\":\"rename\",\"uid\":101,\"euid\":102,"
		      "\"suid\":103,\"fsuid\":104,\"gid\":105,\"egid\":106,"
		      "\"sgid\":107,\"fsgid\":108,\"auid\":109,"
		      "\"session\":110,\"mode\":111,\"owner_uid\":112,"
		      "\"owner_gid\":113,\"nlink\":114,\"dev\":4294967298,"
		      "\"ino\":77,\"path\":\"/a/b\",\"dest_path\":\"/c\"}\n"));
}

/* An action that only a later driver has is printed as a number. */
static void test_an_unknown_action_has_a_number(void)
{
	struct osq_file *file = file_record("/a", "");
	char line[2048] = "";

	file->action = 99;

	EXPECT_EQ(print(file, line, sizeof(line)), 0);
	EXPECT(strstr(line, ",\"action\":\"action_99\","));
	EXPECT(!json_file_action_name(0));
	EXPECT(!json_file_action_name(~0u));
}

/* A name with a space, newline, quote or invalid UTF-8 is valid JSON. */
static void test_any_name_is_valid_json(void)
{
	struct osq_file *file = file_record("/a \n\"\\", "/\xff\xc3\xa9");
	char line[2048] = "";

	EXPECT_EQ(print(file, line, sizeof(line)), 0);

	EXPECT(strstr(line, "\"path\":\"/a \\u000a\\\"\\\\\","));
	EXPECT(strstr(line, "\"dest_path\":\"/\\udcff\xc3\xa9\"}\n"));
	EXPECT_EQ(strcspn(line, "\n"), strlen(line) - 1);
}

/* A span outside its record, or a short record, gives no line. */
static void test_a_span_outside_its_record_is_refused(void)
{
	static const struct osq_span wrong[] = {
		{ 0, 1 },
		{ 63, 1 },
		{ sizeof(struct osq_file), 7 },
		{ sizeof(struct osq_file) + 7, 0 },
		{ ~0u, ~0u },
	};
	char line[2048];
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct osq_file *file = file_record("/a/b", "/c");

		file->path = wrong[i];
		EXPECT_EQ(print(file, line, sizeof(line)), -1);
		file = file_record("/a/b", "/c");
		file->dest_path = wrong[i];
		EXPECT_EQ(print(file, line, sizeof(line)), -1);
	}
	one.file.head.len = sizeof(one.file) - 8;
	EXPECT_EQ(print(&one.file, line, sizeof(line)), -1);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_every_field_is_printed),
	KTAP_TEST(test_an_unknown_action_has_a_number),
	KTAP_TEST(test_any_name_is_valid_json),
	KTAP_TEST(test_a_span_outside_its_record_is_refused),
};

KTAP_MAIN(tests)
