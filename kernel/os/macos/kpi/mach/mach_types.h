/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of <mach/mach_types.h>, and of what it includes, that a kext of
 * this project uses. README.md of this folder says why it is here.
 * Source: xnu-11417.101.15, osfmk/mach/kern_return.h, osfmk/mach/kmod.h,
 * osfmk/kern/kern_types.h, osfmk/mach/vm_param.h.
 */
#ifndef OSQ_KPI_MACH_TYPES_H
#define OSQ_KPI_MACH_TYPES_H

#include <stdint.h>

typedef int kern_return_t;
typedef unsigned int boolean_t;
typedef struct task *task_t;
typedef struct _vm_map *vm_map_t;
typedef uintptr_t vm_offset_t;
typedef uintptr_t vm_size_t;
typedef uint64_t mach_vm_address_t;
typedef uint64_t mach_vm_size_t;

#define KERN_SUCCESS 0
#define KERN_NO_SPACE 3
#define KERN_FAILURE 5

#define KMOD_MAX_NAME 64

struct kmod_info;
typedef kern_return_t kmod_start_func_t(struct kmod_info *info, void *data);
typedef kern_return_t kmod_stop_func_t(struct kmod_info *info, void *data);

/* 196 bytes on 64 bit: the loader reads it by these offsets. */
#pragma pack(push, 4)
typedef struct kmod_info {
	struct kmod_info *next;
	int32_t info_version;
	uint32_t id;
	char name[KMOD_MAX_NAME];
	char version[KMOD_MAX_NAME];
	int32_t reference_count;
	void *reference_list;
	vm_offset_t address;
	vm_size_t size;
	vm_size_t hdr_size;
	kmod_start_func_t *start;
	kmod_stop_func_t *stop;
} kmod_info_t;
#pragma pack(pop)

#define KMOD_INFO_VERSION 1

extern task_t kernel_task;
extern vm_size_t page_size;

#endif
