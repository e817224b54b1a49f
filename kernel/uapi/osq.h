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
 * Law, true whenever SYNC or STATS returns:
 *	attempts  = committed + in_flight + sum of dropped[]
 *	committed = consumed + pending + reset
 * and STATS has the first line for every type of its own. Every record carries the number of its attempt, so a gap in seq is a drop
 * (or a reset). The first record after a drop is an OSQ_TYPE_LOST, which has
 * a number of its own and says what the gap was. Counters and numbers count
 * since the device was opened.
 *
 * One owner: the process that opened the device, with the program that it
 * ran then. An ioctl or mmap by any other holder of the descriptor (a child,
 * who was passed it, another program after exec) is refused with EPERM and
 * makes the queue invalid: publishers stop, what was pending counts as
 * reset, and the owner is told ESTALE by SYNC and SUBSCRIBE, POLLHUP by
 * poll, until it calls ALLOCATE again and maps the new ring.
 *
 * What the calls say, beside EFAULT for a bad pointer:
 *	open		EACCES, EPERM not root; EBUSY another has it open;
 *			ENOMEM
 *	any ioctl, mmap	EPERM not the owner; ESTALE the owner has left
 *	any other ioctl	ENOTTY
 *	NOTIFY		ENXIO, ESTALE as SUBSCRIBE; EINVAL out of bounds
 *	STATS		ENXIO, ESTALE as SUBSCRIBE; EINVAL a reserved field
 *	ALLOCATE	EPROTO another ABI; EINVAL size, or a reserved field;
 *			EEXIST there is a valid ring; ENOMEM
 *	mmap		ENXIO no ring; ESTALE invalid; EACCES for writing or
 *			executing; EINVAL length, offset, or not MAP_SHARED
 *	SUBSCRIBE	ENXIO no ring; ESTALE invalid; EINVAL type, value or
 *			option;
 *			EOPNOTSUPP this kernel has no such hook; ENOMEM
 *	SYNC		ENXIO no ring; ESTALE invalid or another generation;
 *			EINVAL flags, or a position that is no boundary of a
 *			record: then nothing has changed; with WAIT: EINTR,
 *			and EAGAIN when opened O_NONBLOCK
 *
 * Readers need not wake for every record. NOTIFY sets when SYNC with WAIT
 * returns and poll says POLLIN: at watermark_bytes unread, or when the
 * oldest unread record has waited latency_ms, or after a loss. Without it,
 * at every record; so it is again after an ALLOCATE. In both cases SYNC gives
 * all there is.
 *
 * Two numbers. OSQ_ABI_VERSION changes with this file's ioctls and layouts,
 * and a driver refuses any other. OSQ_SCHEMA_VERSION is raised when a record
 * gains a type or fields at the end of its fixed part; a reader passes over
 * what it does not know by a record's length, and finds the tail by its
 * spans, never by the size of the fixed part.
 *
 * Everything is little-endian, naturally aligned, the same for 32-bit and
 * 64-bit readers; padding is zero.
 */
#ifndef OSQ_UAPI_H
#define OSQ_UAPI_H

#ifdef __KERNEL__
#include <linux/ioctl.h>
#include <linux/stddef.h>
#include <linux/types.h>
#else
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#ifdef __linux__
/* Its own, which other headers (sys/stat.h) bring in, too. */
#include <linux/types.h>
#else
typedef uint8_t __u8;
typedef uint16_t __u16;
typedef uint32_t __u32;
typedef uint64_t __u64;
typedef int64_t __s64;
#endif
#endif

#ifdef OSQ_TEST_BUILD
#define OSQ_DEVICE "/dev/osquery_test"
#else
#define OSQ_DEVICE "/dev/osquery"
#endif
/* The test build has another number, so that neither takes the other's side. */
#define OSQ_ABI_RELEASE 1u
#define OSQ_ABI_TEST 0x80000001u
#ifdef OSQ_TEST_BUILD
#define OSQ_ABI_VERSION OSQ_ABI_TEST
#else
#define OSQ_ABI_VERSION OSQ_ABI_RELEASE
#endif
#define OSQ_SCHEMA_VERSION 1

/* The ring is a power of two of bytes between these, and whole pages. */
#define OSQ_RING_MIN_BYTES (8u << 10)
#define OSQ_RING_MAX_BYTES (64u << 20)
/*
 * A record, its header and padding included, is never larger, and leaves
 * room in its ring for one LOST record.
 */
#define OSQ_RECORD_MAX_BYTES 32768u
#define OSQ_RECORD_ALIGN 8u

enum osq_type {
	OSQ_TYPE_NONE = 0, /* a discarded reservation: pass over it */
	OSQ_TYPE_LOST = 1,
	OSQ_TYPE_EXEC = 2,
	OSQ_TYPE_FORK = 3,
	OSQ_TYPE_EXIT = 4,
	OSQ_TYPE_TEST = 31, /* of the test build; see osq_test.h */
	OSQ_TYPE_COUNT = 32,
};

/* Why an attempt left no record. */
enum osq_drop {
	OSQ_DROP_FULL = 0, /* the ring had no room */
	OSQ_DROP_TOO_BIG = 1, /* the record would never have fitted */
	OSQ_DROP_NESTED = 2, /* the CPU's scratch buffer was in use */
	OSQ_DROP_DISCARDED = 3, /* given up by the publisher */
	OSQ_DROP_MISSED = 4, /* the system did not call the publisher */
	OSQ_DROP_COUNT = 8,
};

/* Flags of a record: what could not be given, or not whole. */
#define OSQ_FLAG_DELETED 0x0001 /* the file has no such name any more */
#define OSQ_FLAG_TRUNC_ARGV 0x0002 /* argv ends before argv_bytes */
#define OSQ_FLAG_PARTIAL_ARGV 0x0004 /* a page of argv was not resident */
#define OSQ_FLAG_NO_PATH 0x0008 /* the path could not be resolved */
#define OSQ_FLAG_TRUNC_FILENAME 0x0010
#define OSQ_FLAG_TRUNC_ENV 0x0020 /* env ends before env_bytes */
#define OSQ_FLAG_PARTIAL_ENV 0x0040 /* a page of env was not resident */
#define OSQ_FLAG_NO_CWD 0x0080 /* cwd could not be resolved */
#define OSQ_FLAG_NO_MNT_NS 0x0100 /* this kernel does not show mnt_ns */

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

/* OSQ_TYPE_LOST: what was dropped since the record before this one. */
struct osq_lost {
	struct osq_record head; /* no process: its ids are 0 */
	__u64 first_seq; /* of the first attempt that was dropped */
	__u64 last_seq;
	__u64 first_ts_boot_ns;
	__u64 last_ts_boot_ns;
	__u64 dropped[OSQ_DROP_COUNT]; /* by reason */
	__u64 types; /* bit n: records of type n were among them */
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
	/* Resolved, of the file that runs, as this process's own root sees it. */
	struct osq_span path;
	struct osq_span filename; /* as it was asked for */
	struct osq_span argv; /* NUL after each argument */
	struct osq_span env; /* as argv; empty without OSQ_EXEC_ENV */
	struct osq_span cwd; /* as this process's own root sees it */
	__u32 envc;
	__u32 env_bytes; /* as passed; env.len when not truncated */
	/* Inode numbers of /proc/PID/ns; 0 when not known. */
	__u32 pid_ns, mnt_ns, net_ns, uts_ns, ipc_ns, user_ns, cgroup_ns;
	__u32 ns_pid; /* pid in the process's own pid namespace */
	__u64 cgroup_id; /* in the unified hierarchy: inode of its folder */
};

/* OSQ_TYPE_FORK: the head's thread has made a process, or a thread of its own. */
struct osq_fork {
	struct osq_record head;
	__u32 child_pid; /* head.pid for a thread */
	__u32 child_tid;
	__u64 child_start_boot_ns;
};

/* OSQ_TYPE_EXIT: the head's thread has ended. */
struct osq_exit {
	struct osq_record head;
	__u32 status; /* as wait() gives it */
	__u32 last; /* 1 when the process has ended with it */
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
	__u32 generation; /* out: another one for every ring */
	__u32 reserved2; /* out: 0 */
};

/* What this driver can do on this kernel. */
struct osq_caps {
	__u32 abi;
	__u32 schema;
	__u64 types; /* bit n: SUBSCRIBE to type n works */
	__u64 missing; /* bit n: the driver could, this kernel has no hook */
	__u32 ring_min_bytes;
	__u32 ring_max_bytes;
	__u32 record_max_bytes;
	__u32 flags; /* OSQ_CAPS_* */
};

#define OSQ_CAPS_TEST_BUILD 0x1 /* never use it for anything but tests */
#define OSQ_CAPS_MNT_NS 0x2 /* osq_exec.mnt_ns is filled in */

struct osq_subscribe {
	__u32 type; /* enum osq_type */
	__u32 on; /* 1 or 0 */
	__u64 options; /* OSQ_EXEC_*; may change while on */
};

#define OSQ_EXEC_ENV 0x1 /* the environment, too: it may hold secrets */

struct osq_notify {
	__u32 watermark_bytes; /* 1 up to the size of the ring */
	__u32 latency_ms; /* up to a minute; 0 only with a watermark of 1 */
};

#define OSQ_LATENCY_MAX_MS 60000u

#define OSQ_SYNC_WAIT 0x1 /* wait until there is something to read */

struct osq_sync {
	__u32 generation; /* in: of ALLOCATE */
	__u32 flags; /* in: OSQ_SYNC_* */
	__u64 read_pos; /* in: read up to here, a record's boundary */
	__u64 max_pos; /* out: read up to here now */
	__u64 attempts; /* out, since open, as all below */
	__u64 committed;
	__u64 consumed;
	__u64 pending; /* committed, not consumed */
	__u64 in_flight; /* reserved this moment by some CPU */
	__u64 dropped[OSQ_DROP_COUNT];
	__u64 reset; /* committed, not consumed when the queue became invalid */
	__u64 reserved[3]; /* out: 0 */
	__u64 dropped_of[OSQ_TYPE_COUNT]; /* dropped[], by type */
};

struct osq_type_counters {
	__u64 attempts;
	__u64 committed;
	__u64 dropped[OSQ_DROP_COUNT];
};

/* Everything that is counted, of one moment; frees nothing. */
struct osq_stats {
	__u32 generation; /* out */
	__u32 reserved; /* in: 0 */
	__u64 ring_bytes;
	__u64 unread_bytes;
	__u64 attempts; /* as in osq_sync, down to reset */
	__u64 committed;
	__u64 consumed;
	__u64 pending;
	__u64 in_flight;
	__u64 reset;
	__u64 wakeups; /* times a reader was woken */
	__u64 reserved2[6]; /* out: 0 */
	struct osq_type_counters type[OSQ_TYPE_COUNT];
};

#define OSQ_IOC_VERSION _IOR('q', 1, struct osq_version)
#define OSQ_IOC_ALLOCATE _IOWR('q', 2, struct osq_allocate)
#define OSQ_IOC_SUBSCRIBE _IOW('q', 3, struct osq_subscribe)
#define OSQ_IOC_SYNC _IOWR('q', 4, struct osq_sync)
#define OSQ_IOC_CAPS _IOR('q', 5, struct osq_caps)
#define OSQ_IOC_STATS _IOWR('q', 6, struct osq_stats)
#define OSQ_IOC_NOTIFY _IOW('q', 7, struct osq_notify)

#define OSQ_ASSERT_SIZE(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type)
#define OSQ_ASSERT_OFFSET(type, field, bytes)                   \
	_Static_assert(offsetof(struct type, field) == (bytes), \
		       #type "." #field)

OSQ_ASSERT_SIZE(osq_record, 64);
OSQ_ASSERT_OFFSET(osq_record, seq, 8);
OSQ_ASSERT_OFFSET(osq_record, pos, 24);
OSQ_ASSERT_OFFSET(osq_record, pid, 40);
OSQ_ASSERT_OFFSET(osq_record, cpu, 52);
OSQ_ASSERT_SIZE(osq_lost, 168);
OSQ_ASSERT_OFFSET(osq_lost, first_seq, 64);
OSQ_ASSERT_OFFSET(osq_lost, dropped, 96);
OSQ_ASSERT_SIZE(osq_exec, 256);
OSQ_ASSERT_OFFSET(osq_exec, auid, 96);
OSQ_ASSERT_OFFSET(osq_exec, dev, 128);
OSQ_ASSERT_OFFSET(osq_exec, path, 168);
OSQ_ASSERT_OFFSET(osq_exec, envc, 208);
OSQ_ASSERT_OFFSET(osq_exec, cgroup_id, 248);
OSQ_ASSERT_SIZE(osq_fork, 80);
OSQ_ASSERT_OFFSET(osq_fork, child_pid, 64);
OSQ_ASSERT_SIZE(osq_exit, 72);
OSQ_ASSERT_OFFSET(osq_exit, status, 64);
OSQ_ASSERT_SIZE(osq_version, 16);
OSQ_ASSERT_SIZE(osq_allocate, 32);
OSQ_ASSERT_OFFSET(osq_allocate, generation, 24);
OSQ_ASSERT_SIZE(osq_caps, 40);
OSQ_ASSERT_SIZE(osq_subscribe, 16);
OSQ_ASSERT_SIZE(osq_notify, 8);
OSQ_ASSERT_SIZE(osq_sync, 416);
OSQ_ASSERT_OFFSET(osq_sync, max_pos, 16);
OSQ_ASSERT_OFFSET(osq_sync, dropped, 64);
OSQ_ASSERT_OFFSET(osq_sync, reset, 128);
OSQ_ASSERT_OFFSET(osq_sync, dropped_of, 160);
OSQ_ASSERT_SIZE(osq_type_counters, 80);
OSQ_ASSERT_SIZE(osq_stats, 128 + 32 * 80);

#endif
