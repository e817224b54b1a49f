// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.c - the ring's pages: mapped twice in a row for the kernel, and
 * read-only, twice in a row, for the owner; and the core's allocations.
 *
 * An IOKit buffer holds the pages. A second descriptor lists them twice, and
 * is what the kernel and the owner map. The kernel's mapping is wired and
 * touched before it is used, since under the ring's spin lock no page may be
 * missing.
 */
#include <IOKit/IOLib.h>

#include "iokit.h"
#include "osq_macos.h"

/* IOFree needs the size, which osq_os_free does not pass. */
struct allocation {
	size_t bytes;
	u64 reserved; /* so that what follows is aligned to 16 */
};

void *osq_os_alloc(size_t bytes)
{
	size_t all = sizeof(struct allocation) + bytes;
	struct allocation *allocation = IOMalloc(all);

	if (!allocation)
		return NULL;
	memset(allocation, 0, all);
	allocation->bytes = all;
	return allocation + 1;
}

void osq_os_free(void *pointer)
{
	struct allocation *allocation = pointer;

	if (pointer)
		IOFree(allocation - 1, allocation[-1].bytes);
}

/* Describe the pages twice in a row, and wire them. */
static struct IOMemoryDescriptor *
describe_twice(struct IOBufferMemoryDescriptor *pages, u64 size)
{
	u64 address = (u64)(uintptr_t)osq_io_buffer_bytes(pages);
	struct osq_io_range ranges[] = { { address, size }, { address, size } };
	struct IOMemoryDescriptor *twice =
		osq_io_ranges(ranges, 2, OSQ_IO_IN_OUT, kernel_task);

	if (twice && osq_io_prepare(twice, OSQ_IO_IN_OUT)) {
		osq_io_release(twice);
		return NULL;
	}
	return twice;
}

/*
 * osq_memory_init - allocate @size zeroed bytes.
 *
 * The owner's mapping of an older ring ends here.
 * Context: may sleep.
 * Return: 0; -EINVAL when that is not whole pages; -ENOMEM.
 */
int osq_memory_init(struct osq_memory *memory, u64 size)
{
	if (size % page_size)
		return -EINVAL;
	osq_memory_unmap(memory);
	memory->pages = osq_io_buffer(kernel_task,
				      OSQ_IO_IN_OUT | OSQ_IO_KERNEL_USER_SHARED,
				      size, page_size);
	if (memory->pages)
		memory->twice = describe_twice(memory->pages, size);
	if (memory->twice)
		memory->kernel_map = osq_io_map(memory->twice, kernel_task, 0,
						OSQ_IO_MAP_ANYWHERE, 0, 0);
	if (!memory->kernel_map) {
		osq_memory_deinit(memory);
		return -ENOMEM;
	}
	memory->data = (void *)osq_io_map_address(memory->kernel_map);
	memset(memory->data, 0, 2 * size);
	return 0;
}

/*
 * osq_memory_deinit - free the memory; the core has closed the ring.
 *
 * A mapping that the owner has holds a reference of its own, and lasts until
 * osq_memory_unmap: the owner may be reading. May be called again, and for
 * zeroed memory.
 */
void osq_memory_deinit(struct osq_memory *memory)
{
	if (memory->kernel_map)
		osq_io_release(memory->kernel_map);
	if (memory->twice) {
		osq_io_complete(memory->twice, OSQ_IO_IN_OUT);
		osq_io_release(memory->twice);
	}
	if (memory->pages)
		osq_io_release(memory->pages);
	memory->kernel_map = NULL;
	memory->twice = NULL;
	memory->pages = NULL;
	memory->data = NULL;
}

/* osq_memory_unmap - remove the owner's mapping. May be called again. */
void osq_memory_unmap(struct osq_memory *memory)
{
	if (memory->user_map)
		osq_io_release(memory->user_map);
	memory->user_map = NULL;
}

/*
 * osq_memory_map - map the ring into the calling process, twice in a row.
 *
 * A ring is mapped once; later calls return the same place. IOKit mappings
 * are not inherited by a child.
 * Context: the owner; may sleep.
 * Return: 0 or -ENOMEM.
 */
int osq_memory_map(struct osq_memory *memory, struct osq_map *map)
{
	if (!memory->user_map)
		memory->user_map = osq_io_map(
			memory->twice, current_task(), 0,
			OSQ_IO_MAP_ANYWHERE | OSQ_IO_MAP_READ_ONLY, 0, 0);
	if (!memory->user_map)
		return -ENOMEM;
	map->address = osq_io_map_address(memory->user_map);
	return 0;
}
