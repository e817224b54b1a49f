/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * iokit.h - the few functions of IOKit that share memory, called from C.
 *
 * Each is exported by its C++ name, so it can be declared with that name and
 * called; the object is its first argument. None is called through a vtable,
 * because the objects are exactly of the classes that are named here.
 * Source: xnu-11417.101.15, config/IOKit.exports, IOKit.x86_64.exports,
 * IOKit.arm64.exports, Libkern.exports; iokit/IOKit/IOMemoryDescriptor.h,
 * IOBufferMemoryDescriptor.h.
 */
#ifndef OSQ_IOKIT_H
#define OSQ_IOKIT_H

#include <mach/mach_types.h>
#include <stddef.h>

struct IOBufferMemoryDescriptor;
struct IOMemoryDescriptor;
struct IOMemoryMap;

/* IOAddressRange */
struct osq_io_range {
	mach_vm_address_t address;
	mach_vm_size_t length;
};

#define OSQ_IO_IN_OUT 3u /* kIODirectionInOut */
#define OSQ_IO_KERNEL_USER_SHARED 0x00010000u /* kIOMemoryKernelUserShared */
#define OSQ_IO_MAP_ANYWHERE 0x00000001u /* kIOMapAnywhere */
#define OSQ_IO_MAP_READ_ONLY 0x00001000u /* kIOMapReadOnly */

/* A C++ name must not be split. */
/* clang-format off */
#define EXPORTED(name) __asm__("__ZN" name)

/* These return an object with one reference, or NULL. All may sleep. */
struct IOBufferMemoryDescriptor *
osq_io_buffer(task_t task, uint32_t options, vm_size_t bytes, vm_offset_t align)
	EXPORTED("24IOBufferMemoryDescriptor17inTaskWithOptionsEP4taskjmm");

void *osq_io_buffer_bytes(struct IOBufferMemoryDescriptor *buffer)
	EXPORTED("24IOBufferMemoryDescriptor14getBytesNoCopyEv");

/* An IOGeneralMemoryDescriptor, with kernel addresses. */
struct IOMemoryDescriptor *
osq_io_ranges(struct osq_io_range *ranges, uint32_t count, uint32_t options,
	      task_t task)
	EXPORTED("18IOMemoryDescriptor17withAddressRangesEP14IOVirtualRangejjP4task");

/* Wire the pages; balanced by complete. kIOReturnSuccess is 0. */
int osq_io_prepare(struct IOMemoryDescriptor *ranges, uint32_t direction)
	EXPORTED("25IOGeneralMemoryDescriptor7prepareEj");
int osq_io_complete(struct IOMemoryDescriptor *ranges, uint32_t direction)
	EXPORTED("25IOGeneralMemoryDescriptor8completeEj");

/* Read-only is permanent: it sets maximum and current protection. */
struct IOMemoryMap *
osq_io_map(struct IOMemoryDescriptor *memory, task_t task, mach_vm_address_t at,
	   uint32_t options, mach_vm_size_t offset, mach_vm_size_t length)
	EXPORTED("18IOMemoryDescriptor19createMappingInTaskEP4taskyjyy");

vm_offset_t osq_io_map_address(struct IOMemoryMap *map)
	EXPORTED("11IOMemoryMap17getVirtualAddressEv");

/* Drop a reference; the last one unmaps or frees. */
void osq_io_release(const void *object) EXPORTED("K8OSObject7releaseEv");

#undef EXPORTED
/* clang-format on */

#endif
