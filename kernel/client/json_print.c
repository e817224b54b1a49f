// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * json_print.c - functions that print the common parts of all records.
 *
 * Paths and arguments are bytes, JSON strings are Unicode. A byte above 127
 * that begins no valid UTF-8 sequence is written as \udcXX, the lone surrogate
 * that Python's 'surrogateescape' turns back into that byte.
 */
#include "json_print.h"

#include <stdint.h>
#include <string.h>

/* Length of the valid UTF-8 sequence at @text, or 0. */
static size_t utf8_length(const unsigned char *text, size_t left)
{
	size_t length, i;

	if (text[0] < 0xc2 || text[0] > 0xf4)
		return 0;
	length = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
	if (length > left)
		return 0;
	for (i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((text[0] == 0xe0 && text[1] < 0xa0) ||
	    (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) ||
	    (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

/*
 * A code point that a terminal obeys, or that shows a text in another order
 * than it has: C1 controls, line separators, marks of direction. Else 0.
 */
static unsigned int obeyed(const unsigned char *text, size_t length)
{
	unsigned int point;

	if (length == 2 && text[0] == 0xc2 && text[1] < 0xa0)
		return text[1];
	if (length != 3 || text[0] != 0xe2)
		return 0;
	point = 0x2000u | (text[1] & 0x3fu) << 6 | (text[2] & 0x3fu);
	if ((point >= 0x2028 && point <= 0x202e) ||
	    (point >= 0x2066 && point <= 0x2069))
		return point;
	return 0;
}

/* The longest that one character becomes: an escape of six. */
#define CHARACTER_MAX_BYTES 6u

/* What the line of the record that is printed may hold; see json_cut. */
static size_t most = SIZE_MAX;

void json_cut(size_t string_bytes)
{
	most = string_bytes;
}

/* Print the character at @text. Returns how many bytes of it there were. */
static size_t print_character(FILE *out, const unsigned char *text, size_t left)
{
	unsigned char c = text[0];
	size_t whole = c < 0x80 ? 0 : utf8_length(text, left);

	if (whole && obeyed(text, whole))
		fprintf(out, "\\u%04x", obeyed(text, whole));
	else if (whole)
		fwrite(text, 1, whole, out);
	else if (c == '"' || c == '\\')
		fprintf(out, "\\%c", c);
	else if (c < 0x20 || c == 0x7f)
		fprintf(out, "\\u%04x", c);
	else if (c < 0x80)
		fputc(c, out);
	else
		fprintf(out, "\\udc%02x", c);
	return whole ? whole : 1;
}

static size_t cost_of(const unsigned char *text, size_t left)
{
	unsigned char c = text[0];
	size_t whole = c < 0x80 ? 0 : utf8_length(text, left);

	if (whole)
		return obeyed(text, whole) ? CHARACTER_MAX_BYTES : whole;
	if (c == '"' || c == '\\')
		return 2;
	return c < 0x20 || c >= 0x7f ? CHARACTER_MAX_BYTES : 1;
}

static size_t print_within(FILE *out, const char *bytes, size_t length,
			   size_t room)
{
	const unsigned char *text = (const unsigned char *)bytes;
	size_t at = 0, left = room;

	fputc('"', out);
	while (at < length && cost_of(text + at, length - at) <= left) {
		left -= cost_of(text + at, length - at);
		at += print_character(out, text + at, length - at);
	}
	fputc('"', out);
	return room - left;
}

void json_string(FILE *out, const char *bytes, size_t length)
{
	print_within(out, bytes, length, most);
}

void json_vector(FILE *out, const char *bytes, size_t length)
{
	size_t at = 0, left = most;

	fputc('[', out);
	while (at < length && left >= CHARACTER_MAX_BYTES) {
		size_t end = at + strnlen(bytes + at, length - at);

		if (at)
			fputc(',', out);
		/* Its quotes and comma. */
		left -= 3;
		left -= print_within(out, bytes + at, end - at, left);
		at = end + 1;
	}
	fputc(']', out);
}

void json_head(FILE *out, const struct osq_record *record, const char *type)
{
	fprintf(out,
		"{\"type\":\"%s\",\"seq\":%llu,\"ts_boot_ns\":%llu,"
		"\"start_boot_ns\":%llu,\"pid\":%u,\"tid\":%u,\"ppid\":%u,"
		"\"parent_start_boot_ns\":%llu,\"cpu\":%u,\"flags\":%u",
		type, (unsigned long long)record->seq,
		(unsigned long long)record->ts_boot_ns,
		(unsigned long long)record->start_boot_ns, record->pid,
		record->tid, record->ppid,
		(unsigned long long)record->parent_start_boot_ns, record->cpu,
		record->flags);
	if (most != SIZE_MAX)
		fputs(",\"cut\":true", out);
}

const char *json_name(const char *const *names, size_t count,
		      unsigned int number)
{
	return number < count && names[number] ? names[number] : "unknown";
}

void json_caller(FILE *out, const struct osq_caller *caller)
{
	fprintf(out,
		",\"syscall\":%u,\"uid\":%u,\"euid\":%u,\"auid\":%u,"
		"\"session\":%u",
		caller->syscall, caller->uid, caller->euid, caller->auid,
		caller->session);
}

void json_actor(FILE *out, const struct osq_actor *actor)
{
	fprintf(out,
		",\"program_dev\":%llu,\"program_ino\":%llu,"
		"\"parent_dev\":%llu,\"parent_ino\":%llu",
		(unsigned long long)actor->program_dev,
		(unsigned long long)actor->program_ino,
		(unsigned long long)actor->parent_dev,
		(unsigned long long)actor->parent_ino);
}
