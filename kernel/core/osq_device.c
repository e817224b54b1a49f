// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osq_device.c - one owner, one ring, publishers that run only for it.
 *
 * Everything here runs under the device's mutex; see osq_device.h.
 */
#include "osq_device.h"

#include "osq_filter.h"

/* An eighth of a ring is kept for records of higher ranks. */
#define OSQ_RING_KEPT_SHARE 8u

/* Count the calls that a publisher's hook has missed since the last count. */
static void fold_missed(struct osq_session *session,
			const struct osq_publisher *publisher)
{
	u64 *counted = &session->missed[publisher->type];
	u64 missed;

	if (!publisher->missed)
		return;
	missed = publisher->missed();
	osq_ring_drop(&session->ring, (u16)publisher->type, OSQ_DROP_MISSED,
		      missed - *counted);
	*counted = missed;
}

static void fold_all_missed(struct osq_session *session)
{
	const struct osq_publisher *publisher;

	for (publisher = osq_publishers; publisher->name; publisher++)
		if (session->subscribed >> publisher->type & 1)
			fold_missed(session, publisher);
}

static void stop_one(struct osq_session *session,
		     const struct osq_publisher *publisher)
{
	publisher->stop();
	fold_missed(session, publisher);
	session->subscribed &= ~(1ull << publisher->type);
}

static void stop_all(struct osq_session *session)
{
	const struct osq_publisher *publisher;

	for (publisher = osq_publishers; publisher->name; publisher++)
		if (session->subscribed >> publisher->type & 1)
			stop_one(session, publisher);
}

/*
 * osq_device_attach - make @session the session of the device.
 *
 * Return: 0; -EBUSY while another one is attached.
 */
int osq_device_attach(struct osq_device *device, struct osq_session *session,
		      const void *owner)
{
	if (device->session)
		return -EBUSY;
	session->owner = owner;
	session->queue = OSQ_QUEUE_NONE;
	session->generation = 0;
	session->subscribed = 0;
	osq_ring_init(&session->ring);
	device->session = session;
	return 0;
}

/*
 * osq_device_detach - end the session: stop its publishers, close its ring.
 *
 * Afterwards nothing of the core touches the ring's memory, and another
 * session may be attached. May be called again for the same session.
 */
void osq_device_detach(struct osq_device *device, struct osq_session *session)
{
	if (session->queue == OSQ_QUEUE_LEFT)
		return;
	stop_all(session);
	osq_ring_close(&session->ring);
	session->queue = OSQ_QUEUE_LEFT;
	device->session = NULL;
}

/*
 * osq_device_invalidate - close the ring, since another process has used it.
 *
 * Pending records count as reset. The owner's next call gets -ESTALE, and it
 * may allocate again.
 * Return: true when this call closed the ring; its memory can be freed then.
 */
bool osq_device_invalidate(struct osq_session *session)
{
	if (session->queue != OSQ_QUEUE_VALID)
		return false;
	stop_all(session);
	osq_ring_close(&session->ring);
	session->queue = OSQ_QUEUE_INVALID;
	return true;
}

/*
 * osq_device_may_use - may @who use this session, as its opener?
 *
 * Return: 0; -EPERM for another process that was handed the descriptor, and
 * the caller then invalidates the queue; -ESTALE when the owner has left.
 */
int osq_device_may_use(const struct osq_session *session, const void *who)
{
	if (session->owner != who)
		return -EPERM;
	return session->queue == OSQ_QUEUE_LEFT ? -ESTALE : 0;
}

/* osq_device_has_ring - 0, or -ENXIO before ALLOCATE, -ESTALE when invalid. */
int osq_device_has_ring(const struct osq_session *session)
{
	switch (session->queue) {
	case OSQ_QUEUE_VALID:
		return 0;
	case OSQ_QUEUE_NONE:
		return -ENXIO;
	default:
		return -ESTALE;
	}
}

/*
 * osq_device_check_allocate - check a request before memory is allocated.
 *
 * Return: 0; -EPROTO for another ABI, -EINVAL for a wrong size or a field
 * that must be zero, -EEXIST while there is a valid ring.
 */
int osq_device_check_allocate(const struct osq_session *session,
			      const struct osq_allocate *request)
{
	u64 size = request->ring_bytes;

	if (request->abi != OSQ_ABI_VERSION)
		return -EPROTO;
	if (request->reserved || size < OSQ_RING_MIN_BYTES ||
	    size > OSQ_RING_MAX_BYTES || (size & (size - 1)))
		return -EINVAL;
	return session->queue == OSQ_QUEUE_VALID ? -EEXIST : 0;
}

/*
 * osq_device_allocate - give the session a ring over @data.
 * @data: as for osq_ring_open, of request->ring_bytes bytes.
 *
 * Return: as osq_device_check_allocate and osq_ring_open; on an error the
 * memory still belongs to the caller.
 */
int osq_device_allocate(struct osq_device *device, struct osq_session *session,
			struct osq_allocate *request, void *data)
{
	int err = osq_device_check_allocate(session, request);

	if (!err)
		err = osq_ring_open(&session->ring, data, request->ring_bytes);
	if (err)
		return err;
	osq_ring_keep(&session->ring,
		      request->ring_bytes / OSQ_RING_KEPT_SHARE);
	session->queue = OSQ_QUEUE_VALID;
	session->generation = ++device->generation;
	request->map_bytes = 2 * request->ring_bytes;
	request->generation = session->generation;
	request->reserved2 = 0;
	return 0;
}

/*
 * osq_device_subscribe - switch a type of records on or off.
 *
 * Return: 0, also when nothing changes; as osq_device_has_ring; -EINVAL
 * for a type without a publisher, an option that it does not support, or
 * a value other than 0 and 1; the error of the publisher's start.
 */
int osq_device_subscribe(struct osq_session *session,
			 const struct osq_subscribe *request)
{
	const struct osq_publisher *publisher;
	u64 bit;
	int err = osq_device_has_ring(session);

	if (err)
		return err;
	if (request->type >= OSQ_TYPE_COUNT || request->on > 1)
		return -EINVAL;
	publisher = osq_publisher_find(request->type);
	if (!publisher || request->options & ~publisher->options)
		return -EINVAL;
	bit = 1ull << request->type;
	if (request->on && session->subscribed & bit) {
		if (publisher->configure)
			publisher->configure(request->options);
	} else if (request->on) {
		err = publisher->start(&session->ring, request->options);
		if (err)
			return err;
		session->subscribed |= bit;
		session->missed[request->type] = 0;
	} else if (session->subscribed & bit) {
		stop_one(session, publisher);
	}
	return err;
}

/* osq_device_is_on - as osq_device_has_ring; -ENOTCONN without a subscription. */
int osq_device_is_on(const struct osq_session *session, u32 type)
{
	int err = osq_device_has_ring(session);

	if (err)
		return err;
	return session->subscribed >> type & 1 ? 0 : -ENOTCONN;
}

/* osq_device_notify - as osq_device_has_ring and osq_ring_notify. */
int osq_device_notify(struct osq_session *session,
		      const struct osq_notify *request)
{
	int err = osq_device_has_ring(session);

	return err ? err : osq_ring_notify(&session->ring, request);
}

/*
 * osq_device_share - as osq_device_has_ring and osq_ring_share.
 *
 * Return: -EINVAL, too, for a type without a publisher.
 */
int osq_device_share(struct osq_session *session,
		     const struct osq_share *request)
{
	int err = osq_device_has_ring(session);

	if (err)
		return err;
	if (!osq_publisher_find(request->type))
		return -EINVAL;
	return osq_ring_share(&session->ring, request->type, request->percent);
}

/*
 * osq_device_check_filter - may the system use @filter for its type?
 *
 * Return: 0; as osq_device_has_ring and osq_filter_check; -EINVAL for a type
 * without a publisher.
 */
int osq_device_check_filter(const struct osq_session *session,
			    const struct osq_filter *filter)
{
	const struct osq_publisher *publisher;
	int err = osq_device_has_ring(session);

	if (err)
		return err;
	publisher = osq_publisher_find(filter->type);
	if (!publisher)
		return -EINVAL;
	return osq_filter_check(filter, publisher->filters);
}

/*
 * osq_device_stats - as osq_ring_stats, for the owner.
 *
 * Return: 0; as osq_device_has_ring; -EINVAL for a reserved field.
 */
int osq_device_stats(struct osq_session *session, struct osq_stats *stats)
{
	int err = osq_device_has_ring(session);

	if (err)
		return err;
	if (stats->reserved)
		return -EINVAL;
	osq_os_memset(stats, 0, sizeof(*stats));
	osq_device_count(session, stats);
	return 0;
}

/*
 * osq_device_count - read all counters; the queue may be in any state.
 * @stats: zeroed by the caller.
 */
void osq_device_count(struct osq_session *session, struct osq_stats *stats)
{
	const struct osq_publisher *publisher;

	fold_all_missed(session);
	stats->generation = session->generation;
	for (publisher = osq_publishers; publisher->name; publisher++)
		if (session->subscribed >> publisher->type & 1 &&
		    publisher->is_off && publisher->is_off())
			stats->hooks_off |= 1ull << publisher->type;
	osq_ring_stats(&session->ring, stats);
}

/*
 * osq_device_caps - list the types with a publisher; the system adds flags.
 * @page_bytes: the size of a page; a ring has whole pages.
 */
void osq_device_caps(struct osq_caps *caps, u32 page_bytes)
{
	const struct osq_publisher *publisher;

	osq_os_memset(caps, 0, sizeof(*caps));
	caps->abi = OSQ_ABI_VERSION;
	caps->schema = OSQ_SCHEMA_VERSION;
	caps->ring_min_bytes = OSQ_RING_MIN_BYTES;
	if (caps->ring_min_bytes < page_bytes)
		caps->ring_min_bytes = page_bytes;
	caps->ring_max_bytes = OSQ_RING_MAX_BYTES;
	caps->record_max_bytes = OSQ_RECORD_MAX_BYTES;
	for (publisher = osq_publishers; publisher->name; publisher++) {
		u64 bit = 1ull << publisher->type;

		if (!publisher->probe || publisher->probe())
			caps->types |= bit;
		else
			caps->missing |= bit;
		if (publisher->filters)
			caps->filters |= bit;
	}
}

/*
 * osq_device_sync - free what the owner has read, return positions, counters.
 *
 * Return: 0; as osq_device_has_ring; -EINVAL for an unknown flag, -ESTALE
 * for a position of another generation, -EINVAL for one that is no boundary.
 */
int osq_device_sync(struct osq_session *session, struct osq_sync *sync)
{
	int err = osq_device_has_ring(session);

	if (err)
		return err;
	if (sync->flags & ~OSQ_SYNC_WAIT)
		return -EINVAL;
	if (sync->generation != session->generation)
		return -ESTALE;
	fold_all_missed(session);
	return osq_ring_sync(&session->ring, sync->read_pos, sync);
}
