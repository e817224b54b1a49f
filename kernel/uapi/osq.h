/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * osq.h - what the kernel and its one subscriber share.
 *
 * A process opens /dev/osquery (root only, one at a time), asks for VERSION,
 * calls ALLOCATE and maps the ring read-only. It subscribes to types of
 * records and calls SYNC again and again: SYNC takes the position up to
 * which it has read and gives the position up to which it may read.
 *
 *	fd = open("/dev/osquery", O_RDWR | O_CLOEXEC);
 *	ioctl(fd, OSQ_IOC_ALLOCATE, &allocate);
 *	ring = mmap(NULL, allocate.map_bytes, PROT_READ, MAP_SHARED, fd, 0);
 *	ioctl(fd, OSQ_IOC_SUBSCRIBE, &subscribe);
 *	for (;;) {
 *		ioctl(fd, OSQ_IOC_SYNC, &sync);
 *		while (position != sync.max_pos)
 *			position += read_one(ring + position % size);
 *		sync.read_pos = position;
 *	}
 *
 * Positions count bytes since ALLOCATE and never wrap. The mapping shows the
 * ring twice in a row, so that a record which crosses its end can be read in
 * one piece. Nothing in the mapping can be written, and nothing in it is
 * read back by the kernel.
 *
 * Law, true whenever SYNC returns:
 *	attempts  = committed + in_flight + sum of dropped[]
 *	committed = consumed + pending
 * Every record carries the number of its attempt, so a gap in seq is a drop.
 *
 * Two numbers: OSQ_ABI_VERSION changes with this file's ioctls and layouts,
 * and a driver refuses any other. OSQ_SCHEMA_VERSION is raised when a record
 * gains a type or fields at the end of its fixed part; a reader passes over
 * what it does not know by a record's length.
 *
 * Everything is little-endian, naturally aligned; padding is zero.
 */
#ifndef OSQ_UAPI_H
#define OSQ_UAPI_H

#ifdef __KERNEL__
#include <linux/ioctl.h>
#include <linux/types.h>
#else
#include <stdint.h>
#include <sys/ioctl.h>
typedef uint8_t __u8;
typedef uint16_t __u16;
typedef uint32_t __u32;
typedef uint64_t __u64;
typedef int64_t __s64;
#endif

#define OSQ_DEVICE "/dev/osquery"
#define OSQ_ABI_VERSION 1
#define OSQ_SCHEMA_VERSION 1

/* The ring is a power of two of bytes between these. */
#define OSQ_RING_MIN_BYTES (8u << 10)
#define OSQ_RING_MAX_BYTES (64u << 20)
/* A record, its header and padding included, is never larger. */
#define OSQ_RECORD_MAX_BYTES 32768u
#define OSQ_RECORD_ALIGN 8u

enum osq_type {
	OSQ_TYPE_NONE = 0,
	OSQ_TYPE_LOST = 1,
	OSQ_TYPE_EXEC = 2,
	OSQ_TYPE_COUNT = 64,
};

/* Why an attempt left no record. */
enum osq_drop {
	OSQ_DROP_FULL = 0, /* the ring had no room */
	OSQ_DROP_TOO_BIG = 1, /* the record would never have fitted */
	OSQ_DROP_NESTED = 2, /* the CPU's scratch buffer was in use */
	OSQ_DROP_COUNT = 8,
};

/* Flags of a record: what could not be given, or not whole. */
#define OSQ_FLAG_TRUNC_PATH 0x0001 /* path is the tail of a longer one */
#define OSQ_FLAG_TRUNC_ARGV 0x0002 /* argv ends before argv_bytes */
#define OSQ_FLAG_PARTIAL_ARGV 0x0004 /* a page of argv was not resident */
#define OSQ_FLAG_NO_PATH 0x0008 /* the path could not be resolved */
#define OSQ_FLAG_TRUNC_FILENAME 0x0010

/* Bytes in the tail of a record; off counts from the record's start. */
struct osq_span {
	__u32 off;
	__u32 len;
};

/* How every record begins. */
struct osq_record {
	__u32 len; /* of the whole record, a multiple of 8 */
	__u16 type; /* enum osq_type */
	__u16 flags; /* OSQ_FLAG_* */
	__u64 seq; /* number of the attempt, from 1 */
	__u64 ts_boot_ns; /* CLOCK_BOOTTIME, taken with seq */
	__u64 pos; /* the record's own position */
	__u64 start_boot_ns; /* start of the process, CLOCK_BOOTTIME */
	__u32 pid; /* the process, in the initial pid namespace */
	__u32 tid; /* the thread */
	__u32 ppid; /* the process' parent */
	__u16 cpu;
	__u16 ring_id; /* 0 */
	__u64 reserved; /* 0 */
};

/* OSQ_TYPE_EXEC: a program has replaced a process' image. */
struct osq_exec {
	struct osq_record head;
	__u32 uid, euid, suid, fsuid; /* in the initial user namespace */
	__u32 gid, egid, sgid, fsgid;
	__u32 auid; /* login uid, ~0 when not set */
	__u32 session; /* audit session, ~0 when not set */
	__u32 argc;
	__u32 argv_bytes; /* as passed; argv.len when not truncated */
	__u32 mode; /* of the file, as in stat */
	__u32 owner_uid;
	__u32 owner_gid;
	__u32 old_tid; /* thread id before the exec */
	__u64 dev; /* of the file, major << 32 | minor */
	__u64 ino;
	__s64 atime_ns, mtime_ns, ctime_ns; /* of the file, since the epoch */
	struct osq_span path; /* resolved, of the file that runs */
	struct osq_span filename; /* as it was asked for */
	struct osq_span argv; /* NUL after each argument */
};

struct osq_version {
	__u32 abi;
	__u32 schema;
	__u64 reserved;
};

struct osq_allocate {
	__u32 abi; /* in: OSQ_ABI_VERSION */
	__u32 reserved; /* in: 0 */
	__u64 ring_bytes; /* in */
	__u64 map_bytes; /* out: what to map, twice the ring */
	__u32 generation; /* out */
	__u32 reserved2; /* out: 0 */
};

struct osq_subscribe {
	__u32 type; /* enum osq_type */
	__u32 on; /* 1 or 0 */
};

#define OSQ_SYNC_WAIT 0x1 /* wait until there is something to read */

struct osq_sync {
	__u32 generation; /* in: of ALLOCATE */
	__u32 flags; /* in: OSQ_SYNC_* */
	__u64 read_pos; /* in: read up to here, a record's boundary */
	__u64 max_pos; /* out: read up to here now */
	__u64 attempts; /* out, since ALLOCATE, as all below */
	__u64 committed;
	__u64 consumed;
	__u64 pending; /* committed, not consumed */
	__u64 in_flight; /* reserved this moment by some CPU */
	__u64 dropped[OSQ_DROP_COUNT];
};

#define OSQ_IOC_VERSION _IOR('q', 1, struct osq_version)
#define OSQ_IOC_ALLOCATE _IOWR('q', 2, struct osq_allocate)
#define OSQ_IOC_SUBSCRIBE _IOW('q', 3, struct osq_subscribe)
#define OSQ_IOC_SYNC _IOWR('q', 4, struct osq_sync)

_Static_assert(sizeof(struct osq_record) == 64, "osq_record");
_Static_assert(sizeof(struct osq_exec) == 192, "osq_exec");
_Static_assert(sizeof(struct osq_version) == 16, "osq_version");
_Static_assert(sizeof(struct osq_allocate) == 32, "osq_allocate");
_Static_assert(sizeof(struct osq_subscribe) == 8, "osq_subscribe");
_Static_assert(sizeof(struct osq_sync) == 128, "osq_sync");

#endif
