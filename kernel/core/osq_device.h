/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osq_device.h - who owns the queue, and what the owner may do with it.
 *
 * The system's device file calls these; each call is made with the device's
 * mutex held, which the system owns (it must be able to sleep). Only the
 * ring inside is used by other contexts at the same time.
 */
#ifndef OSQ_DEVICE_H
#define OSQ_DEVICE_H

#include "osq_publisher.h"

/*
 * OSQ_QUEUE_NONE -> VALID by ALLOCATE -> INVALID when a process that is not
 * the owner has used the device -> VALID by ALLOCATE. Any -> LEFT, for good,
 * when the owner closes or dies.
 */
enum osq_queue {
	OSQ_QUEUE_NONE,
	OSQ_QUEUE_VALID,
	OSQ_QUEUE_INVALID,
	OSQ_QUEUE_LEFT,
};

/* One opening of the device; the system adds the ring's memory. */
struct osq_session {
	const void *owner; /* identity of the process that opened it */
	enum osq_queue queue; /* written under the mutex, read without */
	u32 generation; /* of the ring */
	u64 subscribed; /* bit n: type n */
	u64 missed[OSQ_TYPE_COUNT]; /* counted since that type's start */
	struct osq_ring ring; /* open only while the queue is valid */
};

struct osq_device {
	struct osq_session *session; /* the attached session, or NULL */
	u32 generation; /* of the last ring of any session */
};

int osq_device_attach(struct osq_device *device, struct osq_session *session,
		      const void *owner);
void osq_device_detach(struct osq_device *device, struct osq_session *session);
bool osq_device_invalidate(struct osq_session *session);
int osq_device_may_use(const struct osq_session *session, const void *who);
int osq_device_has_ring(const struct osq_session *session);
int osq_device_check_allocate(const struct osq_session *session,
			      const struct osq_allocate *request);
int osq_device_allocate(struct osq_device *device, struct osq_session *session,
			struct osq_allocate *request, void *data);
int osq_device_subscribe(struct osq_session *session,
			 const struct osq_subscribe *request);
int osq_device_is_on(const struct osq_session *session, u32 type);
int osq_device_notify(struct osq_session *session,
		      const struct osq_notify *request);
int osq_device_share(struct osq_session *session,
		     const struct osq_share *request);
int osq_device_check_filter(const struct osq_session *session,
			    const struct osq_filter *filter);
int osq_device_sync(struct osq_session *session, struct osq_sync *sync);
int osq_device_stats(struct osq_session *session, struct osq_stats *stats);
void osq_device_count(struct osq_session *session, struct osq_stats *stats);
void osq_device_caps(struct osq_caps *caps, u32 page_bytes);

#endif
