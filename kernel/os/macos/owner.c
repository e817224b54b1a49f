// SPDX-License-Identifier: GPL-2.0-only
/*
 * owner.c - the process that opened the device: is this it, and is it dead?
 *
 * A process is known by its task, on which a reference is held, so that no
 * other one can come to be at the same address. Since macOS 10.12 a program
 * that is started by exec gets a task of its own, so it is somebody else;
 * before, it is taken for the one it replaced.
 *
 * A device is told of its last close only, and of no death: an owner that
 * dies while a child holds the descriptor is found dead by the next open.
 */
#include <sys/proc.h>

#include "osq_macos.h"

/* osq_owner_init - the calling process is the owner. */
void osq_owner_init(struct osq_owner *owner)
{
	owner->task = current_task();
	owner->pid = proc_selfpid();
	task_reference(owner->task);
}

/* osq_owner_deinit - forget it. */
void osq_owner_deinit(struct osq_owner *owner)
{
	task_deallocate(owner->task);
	owner->task = NULL;
}

/* osq_owner_caller - who calls, as the core knows it: a task. */
const void *osq_owner_caller(const struct osq_owner *owner)
{
	(void)owner;
	return current_task();
}

/*
 * osq_owner_is_dead - has nobody its number any more?
 *
 * A process that was given the number since passes for it: no function that
 * a kext may use tells the two apart. Context: may sleep.
 */
bool osq_owner_is_dead(const struct osq_owner *owner)
{
	proc_t process = proc_find(owner->pid);

	if (!process)
		return true;
	proc_rele(process);
	return false;
}
