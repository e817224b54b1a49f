// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* shared.c - the core as a library that Python can call; see test_property.py. */
#include <stdlib.h>

#include "osq_filter.h"
#include "osq_host.h"
#include "osq_ring.h"

#define SLOTS 16

struct handle {
	struct osq_ring ring;
	void *data;
	u64 size;
	struct osq_slot slots[SLOTS];
};

struct handle *osq_py_new(u64 size);
void osq_py_free(struct handle *handle);
int osq_py_reserve(struct handle *handle, u32 type, u32 len, u32 slot);
u64 osq_py_fill(struct handle *handle, u32 slot, u8 mark);
void osq_py_commit(struct handle *handle, u32 slot);
void osq_py_discard(struct handle *handle, u32 slot);
void osq_py_drop(struct handle *handle, u32 type, u32 reason, u64 count);
void osq_py_filtered(struct handle *handle, u32 type);
int osq_py_sync(struct handle *handle, u64 pos, struct osq_sync *sync);
void osq_py_reset(struct handle *handle);
const u8 *osq_py_at(const struct handle *handle, u64 pos);
int osq_py_filter_check(const struct osq_filter *filter, u32 known);
int osq_py_filter_lets(const struct osq_filter *filter, u32 uid,
		       const u32 *pid_ns, u32 pid_ns_count, const u64 *cgroups,
		       u32 cgroup_count, const char *path, u32 path_bytes);

struct handle *osq_py_new(u64 size)
{
	struct handle *handle = calloc(1, sizeof(*handle));

	handle->data = osq_host_map(size);
	handle->size = size;
	osq_ring_init(&handle->ring);
	if (!handle->data || osq_ring_open(&handle->ring, handle->data, size))
		abort();
	return handle;
}

void osq_py_free(struct handle *handle)
{
	osq_ring_close(&handle->ring);
	osq_host_unmap(handle->data, handle->size);
	free(handle);
}

int osq_py_reserve(struct handle *handle, u32 type, u32 len, u32 slot)
{
	return osq_ring_reserve(&handle->ring, (u16)type, len, OSQ_RANK_ANY,
				&handle->slots[slot]);
}

/* Write a record with only its head and @mark; return its number. */
u64 osq_py_fill(struct handle *handle, u32 slot, u8 mark)
{
	const struct osq_slot *own = &handle->slots[slot];
	struct osq_record head = {
		.len = own->len,
		.type = own->type,
		.seq = own->seq,
		.ts_boot_ns = own->ts_boot_ns,
		.pos = own->pos,
	};

	memset(own->data, mark, own->len);
	memcpy(own->data, &head, sizeof(head));
	return own->seq;
}

void osq_py_commit(struct handle *handle, u32 slot)
{
	osq_ring_commit(&handle->ring, &handle->slots[slot]);
}

void osq_py_discard(struct handle *handle, u32 slot)
{
	osq_ring_discard(&handle->ring, &handle->slots[slot]);
}

void osq_py_drop(struct handle *handle, u32 type, u32 reason, u64 count)
{
	osq_ring_drop(&handle->ring, (u16)type, reason, count);
}

void osq_py_filtered(struct handle *handle, u32 type)
{
	osq_ring_filtered(&handle->ring, (u16)type);
}

int osq_py_sync(struct handle *handle, u64 pos, struct osq_sync *sync)
{
	return osq_ring_sync(&handle->ring, pos, sync);
}

void osq_py_reset(struct handle *handle)
{
	osq_ring_close(&handle->ring);
	memset(handle->data, 0, handle->size);
	if (osq_ring_open(&handle->ring, handle->data, handle->size))
		abort();
}

const u8 *osq_py_at(const struct handle *handle, u64 pos)
{
	return handle->ring.data + (pos & (handle->size - 1));
}

int osq_py_filter_check(const struct osq_filter *filter, u32 known)
{
	return osq_filter_check(filter, known);
}

/* Decide as os/linux/filter.c does: namespaces, groups, then the rest. */
int osq_py_filter_lets(const struct osq_filter *filter, u32 uid,
		       const u32 *pid_ns, u32 pid_ns_count, const u64 *cgroups,
		       u32 cgroup_count, const char *path, u32 path_bytes)
{
	struct osq_subject subject = {
		.uid = uid,
		.in_place = path &&
			    osq_filter_has_path(filter, path, path_bytes),
		.path = path,
		.path_bytes = path_bytes,
	};
	u32 i;

	for (i = 0; i < pid_ns_count; i++)
		subject.in_pid_ns |= osq_filter_has_pid_ns(filter, pid_ns[i]);
	for (i = 0; i < cgroup_count; i++)
		subject.in_cgroup |= osq_filter_has_cgroup(filter, cgroups[i]);
	return osq_filter_lets(filter, &subject);
}
