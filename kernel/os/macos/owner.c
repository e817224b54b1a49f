// SPDX-License-Identifier: GPL-2.0-only
/*
 * owner.c - is the caller the process that opened the device? Is it dead?
 *
 * A process is identified by its task. A reference to it is held, so that no
 * other task can have the same address. Since macOS 10.12 a program that is
 * started by exec gets a new task, so it is another process here; before, it
 * cannot be distinguished from the one it replaced.
 *
 * XNU reports only a device's last close, and no death: an owner that
 * dies while a child holds the descriptor is noticed by the next open.
 */
#include <sys/proc.h>

#include "osq_macos.h"

/* osq_owner_init - make the calling process the owner. */
void osq_owner_init(struct osq_owner *owner)
{
	owner->task = current_task();
	owner->pid = proc_selfpid();
	task_reference(owner->task);
}

/* osq_owner_deinit - forget the owner. */
void osq_owner_deinit(struct osq_owner *owner)
{
	task_deallocate(owner->task);
	owner->task = NULL;
}

/* osq_owner_caller - return the caller's identity for the core: its task. */
const void *osq_owner_caller(const struct osq_owner *owner)
{
	(void)owner;
	return current_task();
}

/*
 * osq_owner_is_dead - does no process have the owner's process id?
 *
 * A process that was given the id since then passes for the owner: no function
 * that a kext may use can distinguish them. Context: may sleep.
 */
bool osq_owner_is_dead(const struct osq_owner *owner)
{
	proc_t process = proc_find(owner->pid);

	if (!process)
		return true;
	proc_rele(process);
	return false;
}
