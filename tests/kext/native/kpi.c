// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * kpi.c - the kernel functions that the kext calls, made from Linux threads.
 *
 * With these the kext's own sources run in a process, so that sanitizers can
 * check them. As in XNU, removing a listener does not wait for its callbacks.
 */
#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LISTENERS 15
#define BSD_EINTR 4
#define BSD_EWOULDBLOCK 35
#define BSD_ENOTCONN 57

static atomic_long given;
static _Atomic(native_listener *) listeners[LISTENERS];
static const struct native_cdevsw *cdevsw;
static pthread_cond_t channel = PTHREAD_COND_INITIALIZER;
static _Thread_local int self;
void *kernel_task = &kernel_task;
unsigned long page_size = 4096;

const struct native_cdevsw *native_cdevsw(void)
{
	return cdevsw;
}

native_listener *native_listeners(int number)
{
	return atomic_load(&listeners[number]);
}

long native_given(void)
{
	return atomic_load(&given);
}

void native_be(int pid)
{
	self = pid;
}

void *native_give(size_t bytes)
{
	atomic_fetch_add(&given, 1);
	return calloc(1, bytes);
}

void native_take(void *pointer)
{
	atomic_fetch_sub(&given, 1);
	free(pointer);
}

void *IOMalloc(unsigned long bytes)
{
	return native_give(bytes);
}

void IOFree(void *pointer, unsigned long bytes)
{
	(void)bytes;
	native_take(pointer);
}

void IOSleep(unsigned int milliseconds)
{
	usleep(milliseconds * 1000);
}

/* --- locks, time, waiting ------------------------------------------------ */

void *lck_grp_alloc_init(const char *name, void *attribute)
{
	(void)name;
	(void)attribute;
	return native_give(1);
}

void lck_grp_free(void *group)
{
	native_take(group);
}

static void *new_lock(void)
{
	pthread_mutex_t *lock = native_give(sizeof(*lock));

	pthread_mutex_init(lock, NULL);
	return lock;
}

static void free_lock(void *lock)
{
	pthread_mutex_destroy(lock);
	native_take(lock);
}

#define LOCK(kind)                                              \
	void *lck_##kind##_alloc_init(void *group, void *attribute) \
	{                                                       \
		(void)group;                                    \
		(void)attribute;                                \
		return new_lock();                              \
	}                                                       \
	void lck_##kind##_lock(void *lock)                      \
	{                                                       \
		pthread_mutex_lock(lock);                       \
	}                                                       \
	void lck_##kind##_unlock(void *lock)                    \
	{                                                       \
		pthread_mutex_unlock(lock);                     \
	}                                                       \
	void lck_##kind##_free(void *lock, void *group)         \
	{                                                       \
		(void)group;                                    \
		free_lock(lock);                                \
	}
LOCK(spin)
LOCK(mtx)

void clock_get_uptime(uint64_t *ticks)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	*ticks = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void absolutetime_to_nanoseconds(uint64_t ticks, uint64_t *ns)
{
	*ns = ticks;
}

int msleep(void *where, void *mutex, int priority, const char *what,
	   struct timespec *timeout)
{
	struct timespec until;

	(void)where;
	(void)priority;
	(void)what;
	if (!timeout)
		return pthread_cond_wait(&channel, mutex);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout->tv_sec;
	until.tv_nsec += timeout->tv_nsec;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return pthread_cond_timedwait(&channel, mutex, &until) ? BSD_EWOULDBLOCK
							       : 0;
}

void wakeup(void *where)
{
	(void)where;
	pthread_cond_broadcast(&channel);
}

/* --- devices, processes, credentials ------------------------------------- */

int cdevsw_add(int slot, const struct native_cdevsw *table)
{
	(void)slot;
	atomic_fetch_add(&given, 1);
	cdevsw = table;
	return 24;
}

int cdevsw_remove(int slot, const struct native_cdevsw *table)
{
	(void)table;
	atomic_fetch_sub(&given, 1);
	return slot;
}

void *devfs_make_node(int device, int kind, uint32_t uid, uint32_t gid,
		      int mode, const char *format, ...)
{
	(void)device;
	(void)kind;
	(void)uid;
	(void)gid;
	(void)mode;
	(void)format;
	return native_give(1);
}

void devfs_remove(void *node)
{
	native_take(node);
}

int enodev(void)
{
	return 19;
}

void enodev_strat(void)
{
}

void *current_task(void)
{
	static char tasks[64];

	return &tasks[self];
}

void task_reference(void *task)
{
	(void)task;
	atomic_fetch_add(&given, 1);
}

void task_deallocate(void *task)
{
	(void)task;
	atomic_fetch_sub(&given, 1);
}

int proc_selfpid(void)
{
	return self;
}

int proc_selfppid(void)
{
	return 1;
}

void *proc_find(int pid)
{
	(void)pid;
	return &channel;
}

int proc_rele(void *process)
{
	(void)process;
	return 0;
}

#define ID(name)                       \
	uint32_t name(void *credential) \
	{                              \
		(void)credential;      \
		return 0;              \
	}
ID(kauth_cred_getuid)
ID(kauth_cred_getruid)
ID(kauth_cred_getsvuid)
ID(kauth_cred_getgid)
ID(kauth_cred_getrgid)
ID(kauth_cred_getsvgid)

uint32_t kauth_getuid(void)
{
	return 0;
}

void *kauth_cred_get(void)
{
	return NULL;
}

void *kauth_listen_scope(const char *scope, native_listener *callback,
			 void *data)
{
	int i;

	(void)scope;
	(void)data;
	for (i = 0; i < LISTENERS; i++) {
		native_listener *none = NULL;

		if (atomic_compare_exchange_strong(&listeners[i], &none,
						   callback)) {
			atomic_fetch_add(&given, 1);
			return &listeners[i];
		}
	}
	return NULL;
}

void kauth_unlisten_scope(void *listener)
{
	atomic_store((_Atomic(native_listener *) *)listener, NULL);
	atomic_fetch_sub(&given, 1);
}

void *vfs_context_create(void *context)
{
	(void)context;
	return native_give(1);
}

int vfs_context_rele(void *context)
{
	native_take(context);
	return 0;
}

int vnode_getattr(void *vnode, void *attributes, void *context)
{
	(void)vnode;
	(void)attributes;
	(void)context;
	return 0;
}

/* --- sockets: filters are registered, but never attached ----------------- */

int sflt_register(const void *filter, int domain, int type, int protocol)
{
	(void)filter;
	(void)domain;
	(void)type;
	(void)protocol;
	return ENOMEM;
}

int sflt_unregister(uint32_t handle)
{
	(void)handle;
	return 0;
}

int sock_gettype(void *so, int *domain, int *type, int *protocol)
{
	(void)so;
	*domain = *type = *protocol = 0;
	return 0;
}

int sock_getsockname(void *so, void *name, int bytes)
{
	(void)so;
	(void)name;
	(void)bytes;
	return BSD_ENOTCONN;
}

int sock_getpeername(void *so, void *name, int bytes)
{
	return sock_getsockname(so, name, bytes);
}
