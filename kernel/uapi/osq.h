/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osq.h - the interface between the kernel and its one subscriber.
 *
 * A process opens /dev/osquery (root only, one at a time), asks for VERSION,
 * calls ALLOCATE and maps the ring read-only. It subscribes to types of records
 * and calls SYNC again and again: SYNC takes the position up to which it has
 * read and gives the position up to which it may read.
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
 * one piece. The mapping cannot be written to, and the kernel reads nothing
 * back from it.
 *
 * Two equations of the counters are true whenever SYNC or STATS returns:
 *	attempts  = committed + in_flight + sum of dropped[]
 *	committed = consumed + pending + reset
 * In STATS the first one is also true for every single type. A record that a
 * filter rejects is not an attempt: it has no number and is in none of these
 * sums; filtered[] counts such records by type. Every record has the number of
 * its attempt, so a gap in seq is a drop (or a reset). The first record after a
 * drop is an OSQ_TYPE_LOST, which has a number of its own and describes the
 * gap. Counters and numbers count since the device was opened.
 *
 * There is one owner: the process that opened the device, with the program that
 * it ran then. An ioctl or mmap by any other process with the descriptor (a
 * child, a process to which it was passed, another program after exec) is
 * refused with EPERM and makes the queue invalid: publishers stop, pending
 * records count as reset, and the owner gets ESTALE from SYNC and SUBSCRIBE,
 * and POLLHUP from poll, until it calls ALLOCATE again and maps the new ring.
 *
 * Errors of the calls, besides EFAULT for a bad pointer:
 *	open		EACCES, EPERM not root; EBUSY another has it open;
 *			ENOMEM
 *	any ioctl, mmap	EPERM not the owner; ESTALE the owner has left
 *	any other ioctl	ENOTTY
 *	NOTIFY		ENXIO, ESTALE as SUBSCRIBE; EINVAL out of bounds
 *	SHARE		ENXIO, ESTALE as SUBSCRIBE; EINVAL type or percent;
 *			ENOTTY on macOS
 *	STATS		ENXIO, ESTALE as SUBSCRIBE; EINVAL a reserved field
 *	ALLOCATE	EPROTO another ABI; EINVAL size, or a reserved field;
 *			EEXIST there is a valid ring; ENOMEM
 *	mmap		ENXIO no ring; ESTALE invalid; EACCES for writing or
 *			executing; EINVAL length, offset, or not MAP_SHARED
 *	SUBSCRIBE	ENXIO no ring; ESTALE invalid; EINVAL type, value or
 *			option;
 *			EOPNOTSUPP this kernel has no such hook; ENOMEM
 *	FILTER		ENXIO, ESTALE as SUBSCRIBE; ENOMEM; EINVAL a condition
 *			that the type does not support, or an invalid filter;
 *			ESRCH a pid namespace without a process;
 *			ENAMETOOLONG a path's place in its file system is too
 *			long; the error of looking up a path. After an error
 *			the earlier filter stays in use
 *	WATCH		ENXIO, ESTALE as SUBSCRIBE; ENOTCONN no subscription to
 *			files; EINVAL an invalid value, action or path; ENOENT
 *			nothing to remove; ENOSPC too many watches;
 *			ENAMETOOLONG the place in its file system is too long,
 *			or more than 511 folders deep; the error of looking up
 *			the path; ENOMEM
 *	SYNC		ENXIO no ring; ESTALE invalid or another generation;
 *			EINVAL flags, or a position that is no boundary of a
 *			record: then nothing has changed; with WAIT: EINTR,
 *			and EAGAIN when opened O_NONBLOCK
 *
 * File records are made only for paths that WATCH names. Watches belong to the
 * subscription to OSQ_TYPE_FILE and end with it.
 *
 * Readers need not wake for every record. NOTIFY sets when SYNC with WAIT
 * returns and poll reports POLLIN: at watermark_bytes unread, or when the
 * oldest unread record has waited latency_ms, or after a loss. Without NOTIFY,
 * and again after an ALLOCATE, they do so at every record. In both cases SYNC
 * gives all records that there are.
 *
 * There are two version numbers. OSQ_ABI_VERSION changes with this file's
 * ioctls and layouts, and a driver refuses any other. OSQ_SCHEMA_VERSION is
 * raised when a record gains a type or fields at the end of its fixed part; a
 * reader skips unknown records by their length, and finds the tail by its
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
/*
 * Kernel headers define these types; other headers (sys/stat.h) include them,
 * too.
 */
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
/*
 * The test build has another number, so that neither build accepts the other's
 * programs.
 */
#define OSQ_ABI_RELEASE 2u
#define OSQ_ABI_TEST 0x80000002u
#ifdef OSQ_TEST_BUILD
#define OSQ_ABI_VERSION OSQ_ABI_TEST
#else
#define OSQ_ABI_VERSION OSQ_ABI_RELEASE
#endif
#define OSQ_SCHEMA_VERSION 6

/* The ring's size in bytes is a power of two between these, and whole pages. */
#define OSQ_RING_MIN_BYTES (8u << 10)
#define OSQ_RING_MAX_BYTES (64u << 20)
/*
 * A record, its header and padding included, is never larger, and leaves
 * room in its ring for one LOST record.
 */
#define OSQ_RECORD_MAX_BYTES 32768u
#define OSQ_RECORD_ALIGN 8u

enum osq_type {
	OSQ_TYPE_NONE = 0, /* a discarded reservation: skip it */
	OSQ_TYPE_LOST = 1,
	OSQ_TYPE_EXEC = 2,
	OSQ_TYPE_FORK = 3,
	OSQ_TYPE_EXIT = 4,
	OSQ_TYPE_SOCKET = 5,
	OSQ_TYPE_FILE = 6,
	OSQ_TYPE_MODULE = 7,
	OSQ_TYPE_CRED = 8,
	OSQ_TYPE_PTRACE = 9,
	OSQ_TYPE_NAMESPACE = 10,
	OSQ_TYPE_BPF = 11,
	OSQ_TYPE_KEXEC = 12,
	OSQ_TYPE_SIGNAL = 13,
	OSQ_TYPE_TEST = 31, /* of the test build; see osq_test.h */
	OSQ_TYPE_COUNT = 32,
};

/* Why an attempt left no record. */
enum osq_drop {
	OSQ_DROP_FULL = 0, /* the ring had no room */
	OSQ_DROP_TOO_BIG = 1, /* the record would never have fitted */
	OSQ_DROP_NESTED = 2, /* the CPU's scratch buffer was in use */
	OSQ_DROP_DISCARDED = 3, /* the publisher discarded its reservation */
	OSQ_DROP_MISSED = 4, /* the system did not call the publisher */
	OSQ_DROP_COUNT = 8,
};

/* Flags of a record: facts that are missing, incomplete or special. */
#define OSQ_FLAG_DELETED 0x0001 /* the file has no such name any more */
#define OSQ_FLAG_TRUNC_ARGV 0x0002 /* argv ends before argv_bytes */
#define OSQ_FLAG_PARTIAL_ARGV 0x0004 /* a page of argv was not resident */
#define OSQ_FLAG_NO_PATH 0x0008 /* the path could not be resolved */
#define OSQ_FLAG_TRUNC_FILENAME 0x0010
#define OSQ_FLAG_TRUNC_ENV 0x0020 /* env ends before env_bytes */
#define OSQ_FLAG_PARTIAL_ENV 0x0040 /* a page of env was not resident */
#define OSQ_FLAG_NO_CWD 0x0080 /* cwd could not be resolved */
#define OSQ_FLAG_NO_MNT_NS 0x0100 /* this kernel does not show mnt_ns */
#define OSQ_FLAG_TRUNC_PATH 0x0200 /* a path ends at a folder above the file */
/* The hook did not run in the caller's own context; see docs/events.md. */
#define OSQ_FLAG_OTHER_CONTEXT 0x0400
#define OSQ_FLAG_OUTCOME 0x0800 /* how a connect in progress has ended */
#define OSQ_FLAG_FS_PATH 0x1000 /* the unwatched path is its file system's */
/* A watched file, by a name that no watch covers; dev and ino say which. */
#define OSQ_FLAG_OTHER_NAME 0x2000
#define OSQ_FLAG_MEMFD 0x4000 /* the program is in no file system */
/*
 * The thread is ending, and the kernel closes what it has left; its exit record
 * may come before this one.
 */
#define OSQ_FLAG_EXITING 0x8000

/* Bytes in the tail of a record; off counts from the record's start. */
struct osq_span {
	__u32 off;
	__u32 len;
};

/* The beginning of every record. */
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
	__u64 parent_start_boot_ns; /* start of the process ppid; 0: unknown */
};

/*
 * The files that a process and its parent run, as /proc/PID/exe leads to them;
 * dev as in osq_exec. All zero: unknown, or a thread of the kernel. The path is
 * in the exec record of the process, or of one that it is a fork of.
 */
struct osq_actor {
	__u64 program_dev, program_ino; /* of head.pid */
	__u64 parent_dev, parent_ino; /* of head.ppid */
};

/* OSQ_TYPE_LOST: the attempts that were dropped since the record before it. */
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
	/*
	 * Resolved, of the file that runs, as seen from this process's own
	 * root.
	 */
	struct osq_span path;
	struct osq_span filename; /* as the caller passed it */
	struct osq_span argv; /* NUL after each argument */
	struct osq_span env; /* as argv; empty without OSQ_EXEC_ENV */
	struct osq_span cwd; /* as seen from this process's own root */
	__u32 envc;
	__u32 env_bytes; /* as passed; env.len when not truncated */
	/* Inode numbers of /proc/PID/ns; 0 when not known. */
	__u32 pid_ns, mnt_ns, net_ns, uts_ns, ipc_ns, user_ns, cgroup_ns;
	__u32 ns_pid; /* pid in the process's own pid namespace */
	__u64 cgroup_id; /* in the unified hierarchy: inode of its folder */
	__u64 tty; /* its terminal, major << 32 | minor; 0: none */
	/* Path of that group; its names tell containers. Empty: too long. */
	struct osq_span cgroup;
	struct osq_actor actor;
	/* The file that was asked for, where its interpreter runs; 0, 0: none. */
	__u64 script_dev, script_ino;
	/*
	 * Mode of what its descriptors 0, 1 and 2 lead to, as in stat; 0: the
	 * descriptor is closed.
	 */
	__u32 stdin_mode, stdout_mode, stderr_mode;
	__u32 reserved; /* 0 */
};

/*
 * OSQ_TYPE_FORK: the head's thread has made a process, or a thread of its own.
 */
struct osq_fork {
	struct osq_record head;
	__u32 child_pid; /* head.pid for a thread */
	__u32 child_tid;
	__u64 child_start_boot_ns;
	struct osq_actor actor;
};

/* OSQ_TYPE_EXIT: the head's thread has ended. */
struct osq_exit {
	struct osq_record head;
	__u32 status; /* as wait() gives it; of the process, if last is set */
	__u32 last; /* 1: no thread of the process runs any more */
	struct osq_actor actor;
	__u64 max_rss_bytes; /* of the process, if last is set */
};

enum osq_module_action {
	OSQ_MODULE_LOADING = 1, /* in place, its init is about to run */
	OSQ_MODULE_LOADED = 2, /* its init has succeeded */
	OSQ_MODULE_UNLOADING = 3, /* removed, or its init has failed */
	OSQ_MODULE_FAILED = 4, /* the call that was to load one has failed */
};

/* OSQ_TYPE_MODULE: the head's process loads or unloads a kernel module. */
struct osq_module {
	struct osq_record head;
	__u32 action; /* enum osq_module_action */
	__u32 args_bytes; /* as passed; args.len when not truncated */
	__u64 taints; /* bits as in /proc/sys/kernel/tainted */
	__u64 size_bytes; /* what stays in memory: /sys/module/NAME/coresize */
	struct osq_span name;
	struct osq_span version; /* from modinfo; empty if it has none */
	struct osq_span srcversion;
	struct osq_span args; /* the parameters that it is loaded with */
	struct osq_actor actor;
	/* Of LOADING and FAILED: the file that finit_module was given. */
	__u64 file_dev, file_ino; /* as in osq_exec; 0, 0: none, or unknown */
	struct osq_span path; /* as seen from this process's own root */
	__u32 error; /* FAILED: errno of the call */
	__u32 reserved; /* 0 */
};

enum osq_cred_action {
	OSQ_CRED_CALL = 1, /* a system call of the thread itself */
	OSQ_CRED_EXEC = 2, /* the exec of a program, setuid or not */
	OSQ_CRED_EITHER = 3, /* this kernel does not distinguish them */
};

/* The parts that differ between both sides. */
#define OSQ_CRED_UIDS 0x1
#define OSQ_CRED_GIDS 0x2
#define OSQ_CRED_CAPS 0x4
#define OSQ_CRED_SECUREBITS 0x8
#define OSQ_CRED_USER_NS 0x10
#define OSQ_CRED_GROUPS 0x20 /* the supplementary ones, by content */

struct osq_cred_side {
	__u32 uid, euid, suid, fsuid; /* in the initial user namespace */
	__u32 gid, egid, sgid, fsgid;
	__u64 permitted, effective, inheritable, bounding, ambient;
	__u32 securebits;
	__u32 user_ns; /* inode number of its user namespace */
	__u32 groups; /* the number of supplementary groups */
	__u32 reserved; /* 0 */
};

/* OSQ_TYPE_CRED: the credentials of the head's thread are about to change. */
struct osq_cred {
	struct osq_record head;
	__u32 action; /* enum osq_cred_action */
	__u32 changed; /* OSQ_CRED_*, never 0 */
	__u32 auid; /* login uid, ~0 when not set */
	__u32 session; /* audit session, ~0 when not set */
	struct osq_cred_side old;
	struct osq_cred_side now;
	struct osq_actor actor;
};

enum osq_ptrace_action {
	OSQ_PTRACE_ACCESS = 1, /* it may read and change the target's memory */
	OSQ_PTRACE_TRACEME = 2, /* it lets the target, its parent, trace it */
};

/*
 * OSQ_TYPE_PTRACE: the head's thread is about to get hold of another process,
 * as ptrace, process_vm_readv, process_vm_writev, pidfd_getfd and an open of
 * /proc/PID/mem do. Its ids permit this; a security module may still refuse.
 */
struct osq_ptrace {
	struct osq_record head;
	__u32 action; /* enum osq_ptrace_action */
	__u32 syscall; /* its number, of the caller's kind; ~0: in none */
	__u32 uid, euid; /* of the caller, in the initial user namespace */
	__u32 auid; /* login uid, ~0 when not set */
	__u32 session; /* audit session, ~0 when not set */
	__u32 target_pid; /* in the initial pid namespace */
	__u32 target_tid;
	__u64 target_start_boot_ns; /* of the process target_pid */
	__u64 target_dev, target_ino; /* as in osq_actor: what it runs */
	__u32 target_uid, target_euid;
	struct osq_actor actor;
};

/* The process of a record, beyond its head. */
struct osq_caller {
	__u32 syscall; /* its number, of the caller's kind; ~0: in none */
	__u32 uid, euid; /* in the initial user namespace */
	__u32 auid; /* login uid, ~0 when not set */
	__u32 session; /* audit session, ~0 when not set */
	__u32 reserved; /* 0 */
};

enum osq_namespace_action {
	OSQ_NAMESPACE_MOUNT = 1, /* mount; mount_flags tell of what kind */
	OSQ_NAMESPACE_MOVE = 2, /* move_mount: a new mount, or one that moves */
	OSQ_NAMESPACE_UMOUNT = 3,
	OSQ_NAMESPACE_PIVOT = 4, /* pivot_root */
	OSQ_NAMESPACE_CHROOT = 5,
	OSQ_NAMESPACE_SWITCH = 6, /* setns, unshare: other namespaces */
};

/* The namespaces that a SWITCH replaces. */
#define OSQ_NS_MNT 0x1
#define OSQ_NS_PID 0x2
#define OSQ_NS_NET 0x4
#define OSQ_NS_UTS 0x8
#define OSQ_NS_IPC 0x10
#define OSQ_NS_CGROUP 0x20
#define OSQ_NS_TIME 0x40

/*
 * OSQ_TYPE_NAMESPACE: the head's process is about to change what it sees of the
 * machine. A SWITCH cannot fail any more; the kernel or a security module may
 * still refuse each other action.
 */
struct osq_namespace {
	struct osq_record head;
	struct osq_caller caller;
	__u64 mount_flags; /* of mount and umount, as passed */
	__u64 dev; /* of the file system; 0: mount and SWITCH */
	__u32 action; /* enum osq_namespace_action */
	__u32 changed; /* OSQ_NS_*, of SWITCH */
	/* Inode numbers as in osq_exec; of SWITCH afterwards. */
	__u32 mnt_ns, net_ns, uts_ns, ipc_ns, user_ns, cgroup_ns;
	/* Those that the next children will be in. */
	__u32 pid_ns, time_ns;
	/* Where, or the new root, as seen from this process's own root. */
	struct osq_span path;
	struct osq_span source; /* of mount as passed; else the kernel's name */
	struct osq_span fs; /* the kind of file system, of mount as passed */
	struct osq_actor actor;
};

enum osq_bpf_action {
	OSQ_BPF_LOAD = 1, /* the verifier has passed a new program */
	OSQ_BPF_OPEN = 2, /* a descriptor of a program that is there */
	OSQ_BPF_ATTACH = 3, /* bpf is asked to attach it */
};

/*
 * OSQ_TYPE_BPF: the head's process is about to get a descriptor of a BPF
 * program, or to attach one. An attachment may still be refused.
 */
struct osq_bpf {
	struct osq_record head;
	struct osq_caller caller;
	__u32 action; /* enum osq_bpf_action */
	__u32 command; /* the first argument of bpf */
	__u32 prog_id; /* of the program; 0: unknown */
	__u32 prog_type; /* BPF_PROG_TYPE_* */
	__u32 attach_type; /* enum bpf_attach_type */
	__u32 target_fd; /* ATTACH: as passed; by type also an interface */
	__u32 insns; /* how many instructions */
	__u32 reserved; /* 0 */
	__u8 tag[8]; /* of the instructions, as bpftool has it */
	struct osq_span name; /* of the program */
	struct osq_span target; /* the function or raw tracepoint it is for */
	struct osq_actor actor;
};

enum osq_kexec_action {
	OSQ_KEXEC_BY_MEMORY = 1, /* kexec_load */
	OSQ_KEXEC_BY_FILE = 2, /* kexec_file_load */
	OSQ_KEXEC_UNLOAD = 3, /* kexec_load of nothing */
};

/*
 * OSQ_TYPE_KEXEC: the head's process gives the kernel another one to start
 * later. It has the right to; the image may still be refused.
 */
struct osq_kexec {
	struct osq_record head;
	struct osq_caller caller;
	__u32 action; /* enum osq_kexec_action */
	__u32 reserved; /* 0 */
	__u64 kexec_flags; /* as passed */
	__u64 file_dev, file_ino; /* of BY_FILE, as in osq_exec */
	struct osq_span path; /* as seen from this process's own root */
	struct osq_span cmdline; /* of BY_FILE: the new kernel's */
	struct osq_actor actor;
};

/* The process that a record's process acts on. */
struct osq_target {
	__u32 pid; /* in the initial pid namespace */
	__u32 tid;
	__u64 start_boot_ns; /* of the process pid */
	__u64 dev, ino; /* as in osq_actor: what it runs */
	__u32 uid, euid;
};

/*
 * OSQ_TYPE_SIGNAL: the head's process is about to send a signal to another one.
 * Its ids permit this; a security module may still refuse.
 */
struct osq_signal {
	struct osq_record head;
	struct osq_caller caller;
	__u32 signal; /* its number, never 0 */
	__u32 reserved; /* 0 */
	struct osq_target target;
	struct osq_actor actor;
};

/*
 * The action on a file. A new name is a CREATE for every kind of file (mode has
 * the kind: a file, a folder, a symbolic link, a node), except for a hard link;
 * rmdir is an UNLINK. A rename that replaces a file has no UNLINK for it, an
 * exchange is two renames.
 */
enum osq_file_action {
	OSQ_FILE_OPEN = 1, /* to read, write or execute */
	OSQ_FILE_CLOSE_WRITE = 2, /* the last close of a writable descriptor */
	OSQ_FILE_RENAME = 3, /* from path to dest_path */
	OSQ_FILE_UNLINK = 4,
	OSQ_FILE_CREATE = 5,
	OSQ_FILE_ATTRIB = 6, /* mode, owner, both times, extended attributes */
	OSQ_FILE_LINK = 7, /* path is a new name of a file that has others */
	/*
	 * Content, size or modification time; at once, and then once a second
	 * for each process that continues. Writes through a mapping make no
	 * record.
	 */
	OSQ_FILE_MODIFY = 8,
};

/* Bits for the options of SUBSCRIBE and the actions of WATCH. */
#define OSQ_FILE_OPT(action) (1ull << (action))
#define OSQ_FILE_OPT_ALL 0x1feull

/*
 * OSQ_TYPE_FILE: an event under a path that WATCH has named.
 *
 * path begins as WATCH was given it, whatever mount or link the caller used.
 * For a rename, the side that no watch covers is given as the mount of the
 * watch shows it, or with FS_PATH from its file system's root. A file with a
 * watched name is also watched by its other names, once it was seen by the
 * watched name or linked from it: OTHER_NAME.
 */
struct osq_file {
	struct osq_record head;
	__u32 uid, euid, suid, fsuid; /* of the process, as in osq_exec */
	__u32 gid, egid, sgid, fsgid;
	__u32 auid;
	__u32 session;
	__u32 action; /* enum osq_file_action */
	__u32 mode; /* of the file, as in stat, and so are these: */
	__u32 owner_uid;
	__u32 owner_gid;
	__u32 nlink; /* after the action */
	__u32 reserved; /* 0 */
	__u64 dev; /* of the file system, major << 32 | minor */
	__u64 ino; /* 0 where the file system makes it after the name */
	struct osq_span path;
	struct osq_span dest_path; /* of a rename, else empty */
	struct osq_actor actor;
};

/* The action on a socket. */
enum osq_socket_action {
	OSQ_SOCKET_CONNECT = 1,
	OSQ_SOCKET_ACCEPT = 2,
	OSQ_SOCKET_BIND = 3,
	OSQ_SOCKET_LISTEN = 4,
	OSQ_SOCKET_CLOSE = 5,
};

enum osq_socket_status {
	OSQ_SOCKET_SUCCEEDED = 0,
	OSQ_SOCKET_FAILED = 1,
	OSQ_SOCKET_IN_PROGRESS = 2, /* a connect; its outcome comes later */
	OSQ_SOCKET_UNSEEN = 3, /* it has begun; its end was not seen */
};

/*
 * OSQ_TYPE_SOCKET: a call on an IPv4, IPv6 or UNIX socket.
 *
 * Addresses are in network order, IPv4 in the first four bytes, all zero where
 * there is none; ports are numbers. A path is the one that was given to bind or
 * connect, without the NUL at its end; the path of an abstract name begins with
 * a NUL.
 */
struct osq_socket {
	struct osq_record head; /* of the owner; pid 0 when it is not known */
	__u32 action; /* enum osq_socket_action */
	__u32 status; /* enum osq_socket_status */
	__u32 error; /* errno, 0 when succeeded */
	__u32 backlog; /* of listen */
	__u32 uid, euid, gid, egid; /* in the initial user namespace */
	__u32 auid; /* login uid, ~0 when not set */
	__u32 session; /* audit session, ~0 when not set */
	__u16 family; /* AF_* */
	__u16 socktype; /* SOCK_* */
	__u32 protocol; /* IPPROTO_* */
	__u16 local_port;
	__u16 remote_port;
	__u32 ifindex; /* of the interface it is bound to, or 0 */
	__u8 local_addr[16];
	__u8 remote_addr[16];
	__u64 cookie; /* as SO_COOKIE has it */
	__u64 acked_bytes; /* close of TCP: as TCP_INFO has them */
	__u64 received_bytes;
	struct osq_span local_path; /* UNIX */
	struct osq_span remote_path;
	__u32 net_ns; /* of the socket: inode number, as in osq_exec */
	__u32 reserved; /* 0 */
	struct osq_actor actor;
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

/* The abilities of this driver on this kernel. */
struct osq_caps {
	__u32 abi;
	__u32 schema;
	__u64 types; /* bit n: SUBSCRIBE to type n works */
	__u64 missing; /* bit n: supported, but this kernel has no hook */
	__u32 ring_min_bytes; /* a page, where that is more */
	__u32 ring_max_bytes;
	__u32 record_max_bytes;
	__u32 flags; /* OSQ_CAPS_* */
	__u64 filters; /* bit n: FILTER knows a condition for type n */
	__u64 reserved[2]; /* 0 */
};

#define OSQ_CAPS_TEST_BUILD 0x1 /* only for tests */
#define OSQ_CAPS_MNT_NS 0x2 /* osq_exec.mnt_ns is filled in */

struct osq_subscribe {
	__u32 type; /* enum osq_type */
	__u32 on; /* 1 or 0 */
	__u64 options; /* by type, as below; may change while on */
};

#define OSQ_EXEC_ENV 0x1 /* the environment, too: it may hold secrets */
/* Only processes, no threads; records of threads are counted as filtered. */
#define OSQ_FORK_PROCESSES 0x1
#define OSQ_EXIT_PROCESSES 0x1
/* The requested actions; none means all. */
#define OSQ_MODULE_OPT(action) (1ull << (action))
#define OSQ_MODULE_OPT_ALL 0x1eull
#define OSQ_CRED_OPT(action) (1ull << (action))
#define OSQ_CRED_OPT_ALL 0xeull
#define OSQ_PTRACE_OPT(action) (1ull << (action))
#define OSQ_PTRACE_OPT_ALL 0x6ull
#define OSQ_NAMESPACE_OPT(action) (1ull << (action))
#define OSQ_NAMESPACE_OPT_ALL 0x7eull
#define OSQ_BPF_OPT(action) (1ull << (action))
#define OSQ_BPF_OPT_ALL 0xeull

#define OSQ_WATCH_MAX 128u /* at a time */
#define OSQ_WATCH_PATH_BYTES 4096u

/*
 * Watch a path and everything below it, on whole components, or end its watch.
 *
 * The path is absolute, has no empty component, no "." and no "..", and need
 * not exist yet. It is looked up once, as the owner sees it, with links
 * followed. The watch is for its file system and its place there, through every
 * mount of the file system. A file system that is mounted below it, or over it
 * later, needs a watch of its own; after an unmount its watches see nothing.
 * Where watches overlap, the longest path that wants the action names the
 * record. Naming a path again replaces its actions.
 */
struct osq_watch {
	__u32 on; /* 1 or 0 */
	__u32 path_bytes; /* of path, without a NUL */
	__u64 actions; /* OSQ_FILE_OPT; 0 when on is 0 */
	char path[OSQ_WATCH_PATH_BYTES];
};

/* Options of OSQ_TYPE_SOCKET: the requested actions; 0 for all of them. */
#define OSQ_SOCKET_OPT(action) (1ull << (action))
#define OSQ_SOCKET_OPTS 0x3eull

struct osq_notify {
	__u32 watermark_bytes; /* 1 up to the size of the ring */
	__u32 latency_ms; /* up to a minute; 0 only with a watermark of 1 */
};

#define OSQ_LATENCY_MAX_MS 60000u

/*
 * Up to which part of the ring records of a type may fill it: 1 to 100
 * percent, and 100 for each type of a new ring. What does not fit in counts as
 * full. So a storm of one type leaves room for the others.
 */
struct osq_share {
	__u32 type; /* enum osq_type */
	__u32 percent;
};

#define OSQ_SYNC_WAIT 0x1 /* wait until there is something to read */

struct osq_sync {
	__u32 generation; /* in: of ALLOCATE */
	__u32 flags; /* in: OSQ_SYNC_* */
	__u64 read_pos; /* in: everything before this boundary was read */
	__u64 max_pos; /* out: everything before this may be read */
	__u64 attempts; /* out, since open, as all below */
	__u64 committed;
	__u64 consumed;
	__u64 pending; /* committed, not consumed */
	__u64 in_flight; /* reserved by some CPU at this moment */
	__u64 dropped[OSQ_DROP_COUNT];
	__u64 reset; /* committed, not consumed when the queue became invalid */
	__u64 filtered; /* rejected by filters, of all types; no attempts */
	__u64 reserved[2]; /* out: 0 */
	__u64 dropped_of[OSQ_TYPE_COUNT]; /* dropped[], by type */
};

struct osq_type_counters {
	__u64 attempts;
	__u64 committed;
	__u64 dropped[OSQ_DROP_COUNT];
};

/* All counters of one moment; this call releases no records. */
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
	__u64 hooks_off; /* bit n: the hook of type n is switched off */
	__u64 reserved2[5]; /* out: 0 */
	struct osq_type_counters type[OSQ_TYPE_COUNT];
	__u64 filtered[OSQ_TYPE_COUNT]; /* rejected by a filter; no attempts */
};

/* The conditions of a filter. */
#define OSQ_FILTER_BY_UID 0x1
#define OSQ_FILTER_BY_PID_NS 0x2
#define OSQ_FILTER_BY_CGROUP 0x4
#define OSQ_FILTER_BY_PATH 0x8 /* of exec records only */

#define OSQ_FILTER_LIST_MAX 32u
#define OSQ_FILTER_PATH_BYTES 4096u

struct osq_uid_range {
	__u32 first;
	__u32 last; /* included */
};

/*
 * The records of one type that are made: the whole filter, which replaces the
 * earlier one. It is in force from this call on, subscribed or not, for as long
 * as the ring exists; a new ring has no filter.
 *
 * An empty list sets no condition; every other list must pass the record. A
 * list passes the records that it names, or, if its bit is in exclude, all
 * others. It names a real uid (in the initial user namespace); a pid namespace,
 * by inode, with all below it; a control group of the unified hierarchy, by id,
 * with all below it; a path, or a folder with everything below it, in whole
 * components. These are compared with the process of the record: for a fork,
 * the child; for a change of credentials, the process before the change. A path
 * that could not be resolved passes.
 *
 * No uid list rejects a process that acts as root without being root (euid 0,
 * another real uid), or that becomes root. A namespace is held, so that its
 * number cannot name a later one. A path is looked up by this call, as the
 * owner sees it, and means that place in its file system, whatever a process's
 * own root shows at that name; the file system stays mounted meanwhile. For a
 * file system that is mounted below a listed path only the name is compared: it
 * can pass a record, and never rejects one.
 */
struct osq_filter {
	__u32 type; /* enum osq_type */
	__u32 exclude; /* OSQ_FILTER_BY_* */
	__u32 uid_count; /* entries beyond a count are ignored */
	__u32 pid_ns_count;
	__u32 cgroup_count;
	__u32 path_count;
	__u32 reserved[2]; /* in: 0 */
	struct osq_uid_range uids[OSQ_FILTER_LIST_MAX];
	__u32 pid_ns[OSQ_FILTER_LIST_MAX];
	__u64 cgroups[OSQ_FILTER_LIST_MAX];
	struct osq_span paths[OSQ_FILTER_LIST_MAX]; /* off: in bytes */
	__u8 bytes[OSQ_FILTER_PATH_BYTES]; /* from the root, no / at the end */
};

/*
 * On systems without mmap of a device (macOS) the driver itself maps the ring
 * into the owner, read-only, twice in a row. The mapping ends with the next
 * ALLOCATE or the last close; the owner must not unmap it.
 */
struct osq_map {
	__u64 address; /* out */
	__u64 map_bytes; /* out */
};

#define OSQ_IOC_VERSION _IOR('q', 1, struct osq_version)
#define OSQ_IOC_ALLOCATE _IOWR('q', 2, struct osq_allocate)
#define OSQ_IOC_SUBSCRIBE _IOW('q', 3, struct osq_subscribe)
#define OSQ_IOC_SYNC _IOWR('q', 4, struct osq_sync)
#define OSQ_IOC_CAPS _IOR('q', 5, struct osq_caps)
#define OSQ_IOC_STATS _IOWR('q', 6, struct osq_stats)
#define OSQ_IOC_NOTIFY _IOW('q', 7, struct osq_notify)
#define OSQ_IOC_FILTER _IOW('q', 8, struct osq_filter)
#define OSQ_IOC_WATCH _IOW('q', 9, struct osq_watch)
#define OSQ_IOC_MAP _IOR('q', 10, struct osq_map)
#define OSQ_IOC_SHARE _IOW('q', 11, struct osq_share)

#ifdef __cplusplus
#define OSQ_ASSERT(condition, text) static_assert(condition, text)
#else
#define OSQ_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#define OSQ_ASSERT_SIZE(type, bytes) \
	OSQ_ASSERT(sizeof(struct type) == (bytes), #type)
#define OSQ_ASSERT_OFFSET(type, field, bytes) \
	OSQ_ASSERT(offsetof(struct type, field) == (bytes), #type "." #field)

OSQ_ASSERT_SIZE(osq_record, 64);
OSQ_ASSERT_OFFSET(osq_record, seq, 8);
OSQ_ASSERT_OFFSET(osq_record, pos, 24);
OSQ_ASSERT_OFFSET(osq_record, pid, 40);
OSQ_ASSERT_OFFSET(osq_record, cpu, 52);
OSQ_ASSERT_OFFSET(osq_record, parent_start_boot_ns, 56);
OSQ_ASSERT_SIZE(osq_actor, 32);
OSQ_ASSERT_SIZE(osq_lost, 168);
OSQ_ASSERT_OFFSET(osq_lost, first_seq, 64);
OSQ_ASSERT_OFFSET(osq_lost, dropped, 96);
OSQ_ASSERT_SIZE(osq_exec, 336);
OSQ_ASSERT_OFFSET(osq_exec, auid, 96);
OSQ_ASSERT_OFFSET(osq_exec, dev, 128);
OSQ_ASSERT_OFFSET(osq_exec, path, 168);
OSQ_ASSERT_OFFSET(osq_exec, envc, 208);
OSQ_ASSERT_OFFSET(osq_exec, cgroup_id, 248);
OSQ_ASSERT_OFFSET(osq_exec, tty, 256);
OSQ_ASSERT_OFFSET(osq_exec, cgroup, 264);
OSQ_ASSERT_OFFSET(osq_exec, actor, 272);
OSQ_ASSERT_SIZE(osq_fork, 112);
OSQ_ASSERT_OFFSET(osq_fork, child_pid, 64);
OSQ_ASSERT_OFFSET(osq_fork, actor, 80);
OSQ_ASSERT_SIZE(osq_exit, 112);
OSQ_ASSERT_OFFSET(osq_exit, status, 64);
OSQ_ASSERT_OFFSET(osq_exit, actor, 72);
OSQ_ASSERT_SIZE(osq_socket, 232);
OSQ_ASSERT_OFFSET(osq_socket, uid, 80);
OSQ_ASSERT_OFFSET(osq_socket, family, 104);
OSQ_ASSERT_OFFSET(osq_socket, local_addr, 120);
OSQ_ASSERT_OFFSET(osq_socket, cookie, 152);
OSQ_ASSERT_OFFSET(osq_socket, local_path, 176);
OSQ_ASSERT_OFFSET(osq_socket, net_ns, 192);
OSQ_ASSERT_OFFSET(osq_socket, actor, 200);
OSQ_ASSERT_SIZE(osq_file, 192);
OSQ_ASSERT_OFFSET(osq_file, action, 104);
OSQ_ASSERT_OFFSET(osq_file, dev, 128);
OSQ_ASSERT_OFFSET(osq_file, path, 144);
OSQ_ASSERT_OFFSET(osq_file, actor, 160);
OSQ_ASSERT_SIZE(osq_module, 184);
OSQ_ASSERT_OFFSET(osq_module, taints, 72);
OSQ_ASSERT_OFFSET(osq_module, name, 88);
OSQ_ASSERT_OFFSET(osq_module, args, 112);
OSQ_ASSERT_OFFSET(osq_module, actor, 120);
OSQ_ASSERT_OFFSET(osq_module, path, 168);
OSQ_ASSERT_SIZE(osq_ptrace, 160);
OSQ_ASSERT_OFFSET(osq_ptrace, target_start_boot_ns, 96);
OSQ_ASSERT_OFFSET(osq_ptrace, actor, 128);
OSQ_ASSERT_SIZE(osq_caller, 24);
OSQ_ASSERT_SIZE(osq_namespace, 200);
OSQ_ASSERT_OFFSET(osq_namespace, mount_flags, 88);
OSQ_ASSERT_OFFSET(osq_namespace, mnt_ns, 112);
OSQ_ASSERT_OFFSET(osq_namespace, path, 144);
OSQ_ASSERT_OFFSET(osq_namespace, actor, 168);
OSQ_ASSERT_SIZE(osq_bpf, 176);
OSQ_ASSERT_OFFSET(osq_bpf, tag, 120);
OSQ_ASSERT_OFFSET(osq_bpf, name, 128);
OSQ_ASSERT_OFFSET(osq_bpf, actor, 144);
OSQ_ASSERT_SIZE(osq_kexec, 168);
OSQ_ASSERT_OFFSET(osq_kexec, path, 120);
OSQ_ASSERT_OFFSET(osq_kexec, actor, 136);
OSQ_ASSERT_SIZE(osq_target, 40);
OSQ_ASSERT_SIZE(osq_signal, 168);
OSQ_ASSERT_OFFSET(osq_signal, target, 96);
OSQ_ASSERT_OFFSET(osq_signal, actor, 136);
OSQ_ASSERT_SIZE(osq_cred_side, 88);
OSQ_ASSERT_OFFSET(osq_cred_side, permitted, 32);
OSQ_ASSERT_SIZE(osq_cred, 288);
OSQ_ASSERT_OFFSET(osq_cred, old, 80);
OSQ_ASSERT_OFFSET(osq_cred, now, 168);
OSQ_ASSERT_OFFSET(osq_cred, actor, 256);
OSQ_ASSERT_SIZE(osq_version, 16);
OSQ_ASSERT_SIZE(osq_allocate, 32);
OSQ_ASSERT_OFFSET(osq_allocate, generation, 24);
OSQ_ASSERT_SIZE(osq_caps, 64);
OSQ_ASSERT_OFFSET(osq_caps, filters, 40);
OSQ_ASSERT_SIZE(osq_subscribe, 16);
OSQ_ASSERT_SIZE(osq_notify, 8);
OSQ_ASSERT_SIZE(osq_share, 8);
OSQ_ASSERT_SIZE(osq_watch, 4112);
OSQ_ASSERT_OFFSET(osq_watch, path, 16);
OSQ_ASSERT_SIZE(osq_map, 16);
OSQ_ASSERT_SIZE(osq_sync, 416);
OSQ_ASSERT_OFFSET(osq_sync, max_pos, 16);
OSQ_ASSERT_OFFSET(osq_sync, dropped, 64);
OSQ_ASSERT_OFFSET(osq_sync, reset, 128);
OSQ_ASSERT_OFFSET(osq_sync, filtered, 136);
OSQ_ASSERT_OFFSET(osq_sync, dropped_of, 160);
OSQ_ASSERT_SIZE(osq_type_counters, 80);
OSQ_ASSERT_SIZE(osq_stats, 128 + 32 * 80 + 32 * 8);
OSQ_ASSERT_OFFSET(osq_stats, filtered, 128 + 32 * 80);
OSQ_ASSERT_SIZE(osq_filter, 5024);
OSQ_ASSERT_OFFSET(osq_filter, uids, 32);
OSQ_ASSERT_OFFSET(osq_filter, bytes, 928);

#endif
