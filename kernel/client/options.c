// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* options.c - osqtail's command line. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters.h"
#include "json.h"
#include "json_records.h"
#include "osq.h"
#include "osq_version.h"

#define LISTED(TYPE, kind) #kind ", "
#define TYPES JSON_RECORDS(LISTED)

static const char help[] =
	"usage: osqtail [OPTION]...\n"
	"Print what the osq driver records, one JSON object a line.\n"
	"\n"
	"what is recorded:\n"
	"  -t, --type NAME       " TYPES "or all;\n"
	"                        may be repeated (default: exec, or file with\n"
	"                        --watch)\n"
	"  -W, --watch PATH      files there and below; may be repeated\n"
	"  -a, --action NAME     of files: open, close_write, rename, unlink,\n"
	"                        create, attrib, link, modify; may be "
	"repeated\n"
	"                        (default: all of them)\n"
	"  -S, --socket ACTION   of sockets only connect, accept, bind, listen "
	"or\n"
	"                        close; may be repeated\n"
	"  -e, --env             the environment of an exec, too: it may hold\n"
	"                        secrets\n"
	"  -r, --ring-bytes N    size of the ring, a power of two from 8192 "
	"to\n"
	"                        67108864, and no less than a page (default:\n"
	"                        1048576)\n"
	"  -x, --share SHARE     let records of a type fill the ring up to a "
	"part\n"
	"                        only, in percent: file=50; may be repeated\n"
	"what the driver keeps out, and counts as filtered; each may be "
	"repeated,\n"
	"and all that are given must agree:\n"
	"  -u, --uid LIST        all but these real uids: 0,1000-1999\n"
	"  -U, --not-uid LIST    these\n"
	"  -n, --pid-ns NS       all but this pid namespace and those below "
	"it: "
	"a\n"
	"                        number, or a file, /proc/PID/ns/pid\n"
	"  -N, --not-pid-ns NS   these\n"
	"  -k, --cgroup GROUP    all but this control group and those below "
	"it: "
	"an\n"
	"                        id, or its folder, /sys/fs/cgroup/NAME\n"
	"  -K, --not-cgroup GROUP\n"
	"                        these\n"
	"  -b, --below PATH      all execs but of this file, or below this "
	"folder\n"
	"  -B, --not-below PATH  these\n"
	"  -P, --processes       of forks and exits those of threads\n"
	"what is printed:\n"
	"  -p, --pid N           only records of this process\n"
	"  -g, --path PATTERN    only execs and files of a path that matches, "
	"as\n"
	"                        in a shell\n"
	"  -L, --line-bytes N    cut strings in lines that would be longer "
	"than "
	"N\n"
	"                        bytes, at least 4096; such a record has\n"
	"                        \"cut\":true\n"
	"  -s, --stats           at the end, a line of type \"stats\"\n"
	"when:\n"
	"  -w, --watermark N     read when N bytes are there, or the oldest "
	"has\n"
	"                        waited for --latency-ms (default: each "
	"record)\n"
	"  -l, --latency-ms N    (default: 100)\n"
	"  -c, --count N         end after N records\n"
	"  -i, --idle-exit-ms N  end when no record came for N milliseconds\n"
	"\n"
	"  -d, --device PATH     (default: " OSQ_DEVICE ")\n"
	"  -V, --version         the version of the program\n"
	"  -h, --help            this text\n"
	"\n"
	"The first line has type \"ready\": from then on nothing is missed "
	"but\n"
	"what the stats count as dropped; the first record after a drop has\n"
	"type \"lost\", says what was, and is always printed. SIGINT and "
	"SIGTERM\n"
	"end it after what is in the ring has been printed.\n"
	"\n"
	"A byte of a path or an argument that is no UTF-8 is printed as "
	"\\udcXX,\n"
	"as Python's surrogateescape has it. Fields and flags: osqtail(8).\n"
	"\n"
	"exit status: 0 ended as asked; 1 the driver refused, the counters do\n"
	"not add up, or the output cannot be written; 2 wrong usage.\n";

static const struct option known[] = {
	{ "type", required_argument, NULL, 't' },
	{ "watch", required_argument, NULL, 'W' },
	{ "action", required_argument, NULL, 'a' },
	{ "socket", required_argument, NULL, 'S' },
	{ "env", no_argument, NULL, 'e' },
	{ "ring-bytes", required_argument, NULL, 'r' },
	{ "share", required_argument, NULL, 'x' },
	{ "uid", required_argument, NULL, 'u' },
	{ "not-uid", required_argument, NULL, 'U' },
	{ "pid-ns", required_argument, NULL, 'n' },
	{ "not-pid-ns", required_argument, NULL, 'N' },
	{ "cgroup", required_argument, NULL, 'k' },
	{ "not-cgroup", required_argument, NULL, 'K' },
	{ "below", required_argument, NULL, 'b' },
	{ "not-below", required_argument, NULL, 'B' },
	{ "processes", no_argument, NULL, 'P' },
	{ "pid", required_argument, NULL, 'p' },
	{ "path", required_argument, NULL, 'g' },
	{ "line-bytes", required_argument, NULL, 'L' },
	{ "stats", no_argument, NULL, 's' },
	{ "watermark", required_argument, NULL, 'w' },
	{ "latency-ms", required_argument, NULL, 'l' },
	{ "count", required_argument, NULL, 'c' },
	{ "idle-exit-ms", required_argument, NULL, 'i' },
	{ "device", required_argument, NULL, 'd' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char letters[] =
	"t:W:a:S:er:x:u:U:n:N:k:K:b:B:Pp:g:L:sw:l:c:i:d:Vh";

static int parse_number(const char *text, unsigned long long *out)
{
	char *end;

	errno = 0;
	/* strtoull accepts a minus, and then wraps the number around. */
	*out = strtoull(text, &end, 0);
	return errno || end == text || *end || *text == '-' ? -1 : 0;
}

/* Types that can be subscribed to. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): JSON_RECORDS has no separator */
#define BIT(TYPE, kind) 1u << OSQ_TYPE_##TYPE |
static const unsigned int all_types = JSON_RECORDS(BIT) 0;

/* Returns the type with this name, or OSQ_TYPE_COUNT if no type has it. */
static unsigned int type_of(const char *name, size_t length)
{
	unsigned int type;

	for (type = 0; type < OSQ_TYPE_COUNT; type++)
		if (all_types >> type & 1 &&
		    !strncmp(name, json_type_name(type), length) &&
		    !json_type_name(type)[length])
			break;
	return type;
}

static int parse_type(const char *name, unsigned int *types)
{
	unsigned int type = type_of(name, strlen(name));

	if (!strcmp(name, "all"))
		*types |= all_types;
	else if (type == OSQ_TYPE_COUNT)
		return -1;
	else
		*types |= 1u << type;
	return 0;
}

/* Of "file=50". */
static int parse_share(const char *text, struct options *options)
{
	size_t length = strcspn(text, "=");
	unsigned int type = type_of(text, length);
	unsigned long long percent;

	if (type == OSQ_TYPE_COUNT || !text[length] ||
	    parse_number(text + length + 1, &percent) || !percent ||
	    percent > 100)
		return -1;
	options->shares[type] = (unsigned int)percent;
	return 0;
}

/*
 * Returns 1 for a letter that is no filter option, else the result of
 * filters_add.
 */
static int take_filter(int letter, struct osq_filter *filter)
{
	static const struct {
		char only;
		char not;
		unsigned int by;
	} letters[] = {
		{ 'u', 'U', OSQ_FILTER_BY_UID },
		{ 'n', 'N', OSQ_FILTER_BY_PID_NS },
		{ 'k', 'K', OSQ_FILTER_BY_CGROUP },
		{ 'b', 'B', OSQ_FILTER_BY_PATH },
	};
	size_t i;

	for (i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (letter == letters[i].only || letter == letters[i].not)
			return filters_add(filter, letters[i].by,
					   letter == letters[i].not, optarg);
	return 1;
}

static int parse_action(const char *name, unsigned long long *actions)
{
	unsigned int action;

	for (action = 1; json_file_action_name(action); action++)
		if (!strcmp(name, json_file_action_name(action))) {
			*actions |= OSQ_FILE_OPT(action);
			return 0;
		}
	return -1;
}

static int add_watch(const char *path, struct options *options)
{
	if (options->watch_count == OSQ_WATCH_MAX)
		return -1;
	options->watches[options->watch_count++] = path;
	return 0;
}

/* An option about socket actions also selects the socket records. */
static int parse_socket(const char *name, struct options *options)
{
	unsigned int action = json_socket_action(name);

	if (!action)
		return -1;
	options->types |= 1u << OSQ_TYPE_SOCKET;
	options->socket_options |= OSQ_SOCKET_OPT(action);
	return 0;
}

/* Returns 1 for a letter that has no number, -1 for what is none. */
static int take_number(int letter, struct options *options)
{
	switch (letter) {
	case 'r':
		return parse_number(optarg, &options->ring_bytes);
	case 'p':
		return parse_number(optarg, &options->pid);
	case 'L':
		return parse_number(optarg, &options->line_bytes) ||
				       options->line_bytes < JSON_LINE_MIN_BYTES
			       ? -1
			       : 0;
	case 'w':
		return parse_number(optarg, &options->watermark);
	case 'l':
		return parse_number(optarg, &options->latency_ms);
	case 'c':
		return parse_number(optarg, &options->count);
	case 'i':
		return parse_number(optarg, &options->idle_ms);
	}
	return 1;
}

/* Returns -1 for an invalid value. */
static int take(int letter, struct options *options)
{
	int given;

	switch (letter) {
	case 't':
		return parse_type(optarg, &options->types);
	case 'W':
		return add_watch(optarg, options);
	case 'a':
		return parse_action(optarg, &options->file_actions);
	case 'S':
		return parse_socket(optarg, options);
	case 'e':
		options->env = 1;
		return 0;
	case 'P':
		options->processes = 1;
		return 0;
	case 'x':
		return parse_share(optarg, options);
	case 'g':
		options->path = optarg;
		return 0;
	case 's':
		options->stats = 1;
		return 0;
	case 'd':
		options->device = optarg;
		return 0;
	}
	given = take_number(letter, options);
	if (given > 0)
		given = take_filter(letter, &options->filter);
	return given ? -1 : 0;
}

int options_parse(int argc, char **argv, struct options *options)
{
	int letter, bad = 0;

	*options = (struct options){
		.device = OSQ_DEVICE,
		.ring_bytes = 1u << 20,
		.latency_ms = 100,
	};
	while ((letter = getopt_long(argc, argv, letters, known, NULL)) != -1) {
		if (letter == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (letter == 'V') {
			puts("osqtail " OSQ_VERSION);
			return 0;
		}
		if (take(letter, options)) {
			if (letter != '?')
				fprintf(stderr,
					"osqtail: -%c %s: no such value\n",
					letter, optarg);
			bad = 1;
		}
	}
	if (options->watch_count)
		options->types |= 1u << OSQ_TYPE_FILE;
	if (!options->types)
		options->types = 1u << OSQ_TYPE_EXEC;
	/* poll() takes an int, and NOTIFY has fields of 32 bits. */
	if (bad || optind != argc || options->idle_ms > INT_MAX ||
	    options->watermark > UINT_MAX || options->latency_ms > UINT_MAX) {
		fputs("osqtail: wrong usage; see osqtail --help\n", stderr);
		return 2;
	}
	return -1;
}
