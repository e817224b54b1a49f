// SPDX-License-Identifier: GPL-2.0-only
/*
 * socket_hooks.c - the functions of the kernel that are hooked for socket
 * calls.
 *
 * The functions are those of struct proto_ops. They are called by pointer only,
 * so no compiler can have inlined them; they are below the system calls, so
 * io_uring and others call them, too; and addresses are in the kernel already.
 * An accepted connection is taken from the security hook that each family calls
 * then, since accept itself waits without limit.
 *
 * Other protocols have functions of their own (MPTCP, SCTP, SMC, VSOCK), in
 * modules that come and go. A call on one of their sockets is seen at the
 * security hook before it: it is reported as it begins, and its end is not
 * seen. SCTP also asks a hook of its own.
 *
 * A kretprobe reports how a call ended. It needs an instance from entry to
 * return, and connect may wait long. When all instances are in use, the kernel
 * skips the call, and counts that without a lock, so not exactly. So each such
 * function has a kprobe, too. Of the probes at one address, the one that was
 * registered last runs first: the kretprobe sets a mark, and the kprobe clears
 * it. A call without a mark was skipped: it is reported as it begins, too. Both
 * run in one section without preemption, and no interrupt calls these
 * functions, so a mark for each CPU is enough.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/percpu.h>

#include "compat.h"
#include "osq_socket.h"

/* On 5.10 this one does not include net/sock.h, which it needs. */
#include <net/inet_common.h>

#include "osq_test_build.h"

static unsigned int socket_calls = 4096;
module_param(socket_calls, uint, 0400);
MODULE_PARM_DESC(socket_calls,
		 "calls of connect that may wait at once, for each kind of "
		 "socket; how one more ends is not seen (4096)");

#define CALLS_MAX 65536u
/* Calls that do not wait for a peer need only this share of the instances. */
#define SHORT_SHARE 16u

/* A function whose end is hooked, too. */
struct call_hook {
	const char *symbol;
	u32 action;
	bool optional; /* its protocol may be missing, or a module */
	bool is_hooked;
	bool waits; /* for a peer */
	bool handshakes;
	struct kprobe entry;
	struct kretprobe ends; /* the instance's data: struct osq_socket_call */
};

/* A function that is hooked only at its beginning. */
struct point_hook {
	const char *symbol;
	u32 action; /* of a call that may be another protocol's */
	bool optional;
	int (*handler)(struct kprobe *probe, struct pt_regs *regs);
	struct kprobe entry;
};

static struct call_hook calls[] = {
	{ .symbol = "__inet_stream_connect",
	  .action = OSQ_SOCKET_CONNECT,
	  .waits = true,
	  .handshakes = true },
	{ .symbol = "inet_dgram_connect", .action = OSQ_SOCKET_CONNECT },
	{ .symbol = "unix_stream_connect",
	  .action = OSQ_SOCKET_CONNECT,
	  .optional = true,
	  .waits = true },
	{ .symbol = "unix_dgram_connect",
	  .action = OSQ_SOCKET_CONNECT,
	  .optional = true },
	{ .symbol = "inet_bind", .action = OSQ_SOCKET_BIND },
	{ .symbol = "inet6_bind", .action = OSQ_SOCKET_BIND, .optional = true },
	{ .symbol = "unix_bind", .action = OSQ_SOCKET_BIND, .optional = true },
	{ .symbol = "inet_listen", .action = OSQ_SOCKET_LISTEN },
	{ .symbol = "unix_listen",
	  .action = OSQ_SOCKET_LISTEN,
	  .optional = true },
};

static int on_asked(struct kprobe *probe, struct pt_regs *regs);
static int on_sctp(struct kprobe *probe, struct pt_regs *regs);
static int on_accepted(struct kprobe *probe, struct pt_regs *regs);
static int on_closing(struct kprobe *probe, struct pt_regs *regs);

/* inet6_release ends in inet_release. */
static struct point_hook points[] = {
	{ .symbol = "security_socket_connect",
	  .action = OSQ_SOCKET_CONNECT,
	  .handler = on_asked },
	{ .symbol = "security_socket_bind",
	  .action = OSQ_SOCKET_BIND,
	  .handler = on_asked },
	{ .symbol = "security_socket_listen",
	  .action = OSQ_SOCKET_LISTEN,
	  .handler = on_asked },
	{ .symbol = "security_sctp_bind_connect", .handler = on_sctp },
	{ .symbol = "security_sock_graft", .handler = on_accepted },
	{ .symbol = "inet_release", .handler = on_closing },
	{ .symbol = "unix_release",
	  .optional = !IS_BUILTIN(CONFIG_UNIX),
	  .handler = on_closing },
};

/* Protected by device_mutex. */
static struct kprobe *entries[ARRAY_SIZE(calls) + ARRAY_SIZE(points)];
static struct kretprobe *ends[ARRAY_SIZE(calls)];
static int entry_count;
static int end_count;
static const struct osq_socket_hooks *told; /* NULL: nothing is hooked */
static bool all_found; /* once found, a function does not disappear */

static DEFINE_PER_CPU(bool, mark);

/* The functions of protocols and the security hooks have the same arguments. */
static void take_call(struct osq_socket_call *call, u32 action,
		      struct pt_regs *regs)
{
	const struct socket *socket = (void *)osq_argument(regs, 0);

	*call = (struct osq_socket_call){ .action = action,
					  .sk = socket->sk,
					  .socket = socket };
	if (action == OSQ_SOCKET_LISTEN) {
		call->backlog = osq_argument(regs, 1);
	} else {
		call->address = (void *)osq_argument(regs, 1);
		call->address_bytes = osq_argument(regs, 2);
	}
}

static int on_call(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kretprobe *ends = osq_kretprobe_of(instance);
	struct osq_socket_call *call = (void *)instance->data;
	const struct call_hook *hook;

	/* From 5.11 until an architecture has rethook: it is being removed. */
	if (!ends)
		return 1;
	hook = container_of(ends, const struct call_hook, ends);
	__this_cpu_write(mark, true);
	take_call(call, hook->action, regs);
	call->handshakes = hook->handshakes;
	return told->begin(call) ? 0 : 1;
}

static int on_return(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	told->end((void *)instance->data, (int)regs_return_value(regs));
	return 0;
}

static int on_entry(struct kprobe *probe, struct pt_regs *regs)
{
	const struct call_hook *hook =
		container_of(probe, const struct call_hook, entry);
	struct osq_socket_call call;

	if (__this_cpu_read(mark)) {
		__this_cpu_write(mark, false);
		return 0;
	}
	take_call(&call, hook->action, regs);
	told->unseen(&call);
	return 0;
}

/* Up to so many bytes after a function's address there may be its probe. */
#define ENTRY_BYTES_MAX 16u

static bool is_at(const struct kprobe *entry, const void *function)
{
	return (unsigned long)entry->addr - (unsigned long)function <
	       ENTRY_BYTES_MAX;
}

/* The protocol's function for a call. */
static const void *function_of(const struct socket *sock, u32 action)
{
	const struct proto_ops *ops = READ_ONCE(sock->ops);

	switch (action) {
	case OSQ_SOCKET_CONNECT:
		return ops->connect;
	case OSQ_SOCKET_BIND:
		return ops->bind;
	default:
		return ops->listen;
	}
}

/* Does the protocol refuse the call, or is its function one of calls[]? */
static bool is_told_elsewhere(const struct socket *sock, u32 action)
{
	const void *function = function_of(sock, action);
	size_t at;

	if (function == sock_no_connect || function == sock_no_bind ||
	    function == sock_no_listen)
		return true;
	/* It calls __inet_stream_connect, and does nothing else. */
	if (function == inet_stream_connect)
		return true;
	for (at = 0; at < ARRAY_SIZE(calls); at++)
		if (calls[at].action == action && calls[at].is_hooked &&
		    is_at(&calls[at].entry, function))
			return true;
	return false;
}

static int on_asked(struct kprobe *probe, struct pt_regs *regs)
{
	const struct point_hook *hook =
		container_of(probe, const struct point_hook, entry);
	struct osq_socket_call call;

	take_call(&call, hook->action, regs);
	if (call.sk && !is_told_elsewhere(call.socket, hook->action))
		told->unseen(&call);
	return 0;
}

static int on_sctp(struct kprobe *probe, struct pt_regs *regs)
{
	osq_socket_sctp_calls(regs, told->unseen);
	return 0;
}

static int on_accepted(struct kprobe *probe, struct pt_regs *regs)
{
	told->accepted((void *)osq_argument(regs, 0),
		       (void *)osq_argument(regs, 1));
	return 0;
}

/* A socket that was never given to a process has no sk. */
static int on_closing(struct kprobe *probe, struct pt_regs *regs)
{
	const struct socket *sock = (void *)osq_argument(regs, 0);

	if (sock->sk)
		told->closing(sock);
	return 0;
}

/*
 * A probe structure that was registered before cannot be registered again as it
 * is.
 */
static int hook_entry(struct kprobe *entry, const char *symbol, u32 flags,
		      int (*handler)(struct kprobe *, struct pt_regs *))
{
	int err;

	*entry = (struct kprobe){ .symbol_name = symbol,
				  .pre_handler = handler,
				  .flags = flags };
	err = osq_test_hides(symbol) ? -ENOENT : register_kprobe(entry);
	if (!err)
		entries[entry_count++] = entry;
	return err;
}

static void add_end(struct call_hook *hook)
{
	unsigned int most = clamp(socket_calls, 1u, CALLS_MAX);

	if (!hook->waits)
		most = max(most / SHORT_SHARE, 1u);
	hook->ends = (struct kretprobe){
		.kp.symbol_name = hook->symbol,
		.entry_handler = on_call,
		.handler = on_return,
		.maxactive = most,
		.data_size = sizeof(struct osq_socket_call),
	};
	ends[end_count++] = &hook->ends;
}

/*
 * Hook the beginning of each function, and prepare the hooks of the ends.
 *
 * A protocol that is a module may not be loaded: its functions are left out,
 * and once it is loaded, its calls are reported by the security hooks, as those
 * of other protocols.
 */
static int hook_entries(u32 flags)
{
	size_t at;
	int err;

	entry_count = 0;
	end_count = 0;
	for (at = 0; at < ARRAY_SIZE(calls); at++) {
		err = hook_entry(&calls[at].entry, calls[at].symbol, flags,
				 on_entry);
		calls[at].is_hooked = !err;
		if (!err)
			add_end(&calls[at]);
		else if (err != -ENOENT || !calls[at].optional)
			goto unhook;
	}
	for (at = 0; at < ARRAY_SIZE(points); at++) {
		err = hook_entry(&points[at].entry, points[at].symbol, flags,
				 points[at].handler);
		if (err && (err != -ENOENT || !points[at].optional))
			goto unhook;
	}
	return 0;

unhook:
	unregister_kprobes(entries, entry_count);
	return err;
}

/*
 * osq_socket_hooks_probe - does this kernel have all of the functions?
 *
 * It registers probes that are not armed, once, so no code is patched.
 * Context: may sleep; device_mutex is held.
 */
bool osq_socket_hooks_probe(void)
{
	if (told || all_found)
		return true;
	if (!osq_probes_have_arguments())
		return false;
	if (hook_entries(KPROBE_FLAG_DISABLED))
		return false;
	unregister_kprobes(entries, entry_count);
	all_found = true;
	return true;
}

/*
 * osq_socket_hooks_start - call @hooks for each socket call from now on.
 *
 * The kprobes are registered first, because of the order above.
 * Context: may sleep; device_mutex is held.
 * Return: 0; -EOPNOTSUPP on a kernel without one of the functions; -ENOMEM;
 * other errors of the kernel.
 */
int osq_socket_hooks_start(const struct osq_socket_hooks *hooks)
{
	int err = -EOPNOTSUPP;

	told = hooks;
	if (osq_probes_have_arguments())
		err = hook_entries(0);
	if (!err) {
		err = register_kretprobes(ends, end_count);
		if (err)
			unregister_kprobes(entries, entry_count);
	}
	if (err)
		told = NULL;
	return err == -ENOENT ? -EOPNOTSUPP : err;
}

/*
 * osq_socket_hooks_stop - return when no hook is or will be running.
 *
 * A call that is in the middle returns as if it had never been hooked.
 * Context: as start.
 */
void osq_socket_hooks_stop(void)
{
	unregister_kretprobes(ends, end_count);
	unregister_kprobes(entries, entry_count);
	told = NULL;
}

/*
 * osq_socket_hooks_missed - how many calls were passed over since start.
 *
 * A kprobe passes over a hit within another probe's handler. None of these
 * functions is called there; if one were, it would be counted.
 * Context: any; it may be after stop.
 */
u64 osq_socket_hooks_missed(void)
{
	u64 missed = 0;
	int at;

	for (at = 0; at < entry_count; at++)
		missed += READ_ONCE(entries[at]->nmissed);
	return missed;
}
