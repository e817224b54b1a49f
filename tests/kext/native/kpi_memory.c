// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* kpi_memory.c - IOKit's memory that is mapped twice, made with mmap. */
#define _GNU_SOURCE
#include "native.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *kernel_task;

struct object {
	atomic_int references;
	int fd;
	size_t bytes;
	int times;
	char *at;
	struct object *holds;
};

void *io_buffer(void *task, uint32_t options, unsigned long bytes,
		unsigned long align)
	__asm__("__ZN24IOBufferMemoryDescriptor17inTaskWithOptionsEP4taskjmm");
void *io_buffer_bytes(struct object *buffer)
	__asm__("__ZN24IOBufferMemoryDescriptor14getBytesNoCopyEv");
void *io_ranges(uint64_t *ranges, uint32_t count, uint32_t options, void *task)
	__asm__("__ZN18IOMemoryDescriptor17withAddressRangesEP14IOVirtualRangejjP"
		"4task");
int io_prepare(void *ranges, uint32_t direction)
	__asm__("__ZN25IOGeneralMemoryDescriptor7prepareEj");
int io_complete(void *ranges, uint32_t direction)
	__asm__("__ZN25IOGeneralMemoryDescriptor8completeEj");
void *io_map(struct object *memory, void *task, uint64_t at, uint32_t options,
	     uint64_t offset, uint64_t length)
	__asm__("__ZN18IOMemoryDescriptor19createMappingInTaskEP4taskyjyy");
unsigned long io_map_address(struct object *map)
	__asm__("__ZN11IOMemoryMap17getVirtualAddressEv");
void io_release(struct object *object) __asm__("__ZNK8OSObject7releaseEv");

static struct object *last_buffer;

static struct object *new_object(int fd, size_t bytes, int times, int writable)
{
	struct object *object = native_give(sizeof(*object));
	int i, protection = PROT_READ | (writable ? PROT_WRITE : 0);

	atomic_store(&object->references, 1);
	object->fd = fd;
	object->bytes = bytes;
	object->times = times;
	object->at = mmap(NULL, times * bytes, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < times; i++)
		if (mmap(object->at + i * bytes, bytes, protection,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			abort();
	return object;
}

void *io_buffer(void *task, uint32_t options, unsigned long bytes,
		unsigned long align)
{
	int fd = memfd_create("ring", MFD_CLOEXEC);

	(void)task;
	(void)options;
	(void)align;
	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		abort();
	last_buffer = new_object(fd, bytes, 1, 1);
	return last_buffer;
}

void *io_buffer_bytes(struct object *buffer)
{
	return buffer->at;
}

void *io_ranges(uint64_t *ranges, uint32_t count, uint32_t options, void *task)
{
	struct object *object = native_give(sizeof(*object));

	(void)ranges;
	(void)options;
	(void)task;
	atomic_store(&object->references, 1);
	atomic_fetch_add(&last_buffer->references, 1);
	object->fd = last_buffer->fd;
	object->bytes = last_buffer->bytes;
	object->times = (int)count;
	object->holds = last_buffer;
	return object;
}

int io_prepare(void *ranges, uint32_t direction)
{
	(void)ranges;
	(void)direction;
	return 0;
}

int io_complete(void *ranges, uint32_t direction)
{
	(void)ranges;
	(void)direction;
	return 0;
}

void *io_map(struct object *memory, void *task, uint64_t at, uint32_t options,
	     uint64_t offset, uint64_t length)
{
	struct object *map = new_object(memory->fd, memory->bytes,
					memory->times, task == kernel_task);

	(void)at;
	(void)options;
	(void)offset;
	(void)length;
	atomic_fetch_add(&memory->references, 1);
	map->holds = memory;
	return map;
}

unsigned long io_map_address(struct object *map)
{
	return (unsigned long)map->at;
}

void io_release(struct object *object)
{
	if (atomic_fetch_sub(&object->references, 1) != 1)
		return;
	if (object->at)
		munmap(object->at, object->times * object->bytes);
	if (object->holds)
		io_release(object->holds);
	else
		close(object->fd);
	native_take(object);
}
