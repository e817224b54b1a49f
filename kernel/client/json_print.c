// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * json_print.c - functions that print the common parts of all records.
 *
 * Paths and arguments are bytes, JSON strings are Unicode. A byte above 127
 * that begins no valid UTF-8 sequence is written as \udcXX, the lone surrogate
 * that Python's 'surrogateescape' turns back into that byte.
 */
#include "json_print.h"

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

void json_string(FILE *out, const char *bytes, size_t length)
{
	const unsigned char *text = (const unsigned char *)bytes;
	size_t at = 0;

	fputc('"', out);
	while (at < length) {
		unsigned char c = text[at];
		size_t whole = c < 0x80 ? 0
					: utf8_length(text + at, length - at);

		if (whole) {
			fwrite(text + at, 1, whole, out);
			at += whole;
			continue;
		}
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else if (c < 0x80)
			fputc(c, out);
		else
			fprintf(out, "\\udc%02x", c);
		at++;
	}
	fputc('"', out);
}

void json_head(FILE *out, const struct osq_record *record, const char *type)
{
	fprintf(out,
		"{\"type\":\"%s\",\"seq\":%llu,\"ts_boot_ns\":%llu,"
		"\"start_boot_ns\":%llu,\"pid\":%u,\"tid\":%u,\"ppid\":%u,"
		"\"cpu\":%u,\"flags\":%u",
		type, (unsigned long long)record->seq,
		(unsigned long long)record->ts_boot_ns,
		(unsigned long long)record->start_boot_ns, record->pid,
		record->tid, record->ppid, record->cpu, record->flags);
}
