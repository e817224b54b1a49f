/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* options.h - the values of osqtail's command line. */
#ifndef OSQ_OPTIONS_H
#define OSQ_OPTIONS_H

#include "osq.h"

struct options {
	const char *device;
	const char *path; /* a pattern of fnmatch, or NULL */
	unsigned long long count; /* 0: no end */
	unsigned long long ring_bytes;
	unsigned long long idle_ms; /* 0: for ever */
	unsigned long long watermark; /* bytes; 0: every record */
	unsigned long long latency_ms;
	unsigned long long line_bytes; /* 0: as long as it gets */
	unsigned long long pid; /* 0: any */
	const char *watches[OSQ_WATCH_MAX]; /* absolute paths */
	unsigned int watch_count;
	unsigned long long file_actions; /* OSQ_FILE_OPT; 0: all */
	unsigned long long socket_options; /* OSQ_SOCKET_OPT(); 0: all */
	unsigned int types; /* bit n: type n */
	struct osq_filter filter; /* conditions of all types */
	unsigned int shares[OSQ_TYPE_COUNT]; /* percent; 0: not given */
	int processes; /* no records of threads */
	int env;
	int stats;
};

/* Returns -1 to continue, else the exit status. */
int options_parse(int argc, char **argv, struct options *options);

#endif
