/* SPDX-License-Identifier: GPL-2.0-only */
/* osq_encode.h - encode.c: records with strings. */
#ifndef OSQ_ENCODE_H
#define OSQ_ENCODE_H

#include <linux/compiler_types.h>

#include "osq_linux.h"

struct path;

/* A record that is encoded in a probe has no more, except for its paths. */
#define OSQ_PROBE_RECORD_MAX_BYTES 1024u

/*
 * Encode a record at @head, which has its fixed part to fill in, too.
 * @path: a buffer for osq_append_path, or NULL.
 */
typedef void osq_encoder(struct osq_record *head, char *path,
			 const void *facts);

void osq_caller_fill(struct osq_caller *caller);
void osq_target_fill(struct osq_target *target, const struct task_struct *task);
void *osq_append(struct osq_record *head, struct osq_span *span, u32 len);
void osq_append_text(struct osq_record *head, struct osq_span *span,
		     const char *text, u32 most);
bool osq_append_path(struct osq_record *head, struct osq_span *span,
		     const struct path *what, char *buffer);
u16 osq_append_user_text(struct osq_record *head, struct osq_span *span,
			 const char __user *text, u32 most);

void osq_encode_and_publish(struct osq_ring *ring, u32 type,
			    osq_encoder *encode, const void *facts,
			    enum osq_rank rank);
void osq_encode_in_probe(struct osq_ring *ring, u32 type, osq_encoder *encode,
			 const void *facts, enum osq_rank rank);

#endif
