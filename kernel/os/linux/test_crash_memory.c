// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_crash_memory.c - wrong uses of memory: freed, too small, foreign, or
 * read-only. See test_crash.c.
 */
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "osq_test.h"
#include "osq_test_crash.h"

#define BLOCK_BYTES 192
#define POISON 0x6b

struct node {
	struct node *next;
	u8 bytes[BLOCK_BYTES - sizeof(struct node *)];
};

/*
 * By then the freed block has another owner, who filled it with the pattern of
 * slab debugging, so this crashes without slab debugging, too.
 */
static noinline void osq_crash_use_after_free(void)
{
	struct node *stale = kzalloc(sizeof(*stale), GFP_KERNEL);
	u8 *other[16] = {};
	size_t i;

	kfree(stale);
	for (i = 0; i < ARRAY_SIZE(other); i++) {
		other[i] = kmalloc(sizeof(*stale), GFP_KERNEL);
		if (other[i])
			memset(other[i], POISON, sizeof(*stale));
	}
	WRITE_ONCE(READ_ONCE(stale->next)->next, stale);
	for (i = 0; i < ARRAY_SIZE(other); i++)
		kfree(other[i]);
}

static noinline long osq_crash_leak(void)
{
	struct node *lost = kzalloc(sizeof(*lost), GFP_KERNEL);

	return lost ? 0 : -ENOMEM;
}

/*
 * One byte before the block and one after it; only a sanitizer can see it at
 * once.
 */
static noinline long osq_crash_out_of_bounds(void)
{
	volatile u8 *block = kzalloc(BLOCK_BYTES - 1, GFP_KERNEL);

	if (!block)
		return -ENOMEM;
	block[BLOCK_BYTES - 1] = block[BLOCK_BYTES];
	kfree((void *)block);
	return 0;
}

static noinline long osq_crash_double_free(void)
{
	void *block = kmalloc(BLOCK_BYTES, GFP_KERNEL);

	if (!block)
		return -ENOMEM;
	kfree(block);
	OPTIMIZER_HIDE_VAR(block);
	kfree(block); /* is free */
	return 0;
}

/* Add an entry that is still in the list. */
static noinline void osq_crash_list(void)
{
	LIST_HEAD(list);
	struct list_head entry;

	list_add(&entry, &list);
	list_add(&entry, &list); /* is in it */
}

static noinline void osq_crash_refcount(void)
{
	refcount_t count = REFCOUNT_INIT(1);

	refcount_dec(&count);
}

/* Data must not be executed: a bare return instruction, in a variable. */
static noinline void osq_crash_execute_data(void)
{
	static u8 code[] = { 0xc3 };
	void (*call)(void) = (void (*)(void))code;

	OPTIMIZER_HIDE_VAR(call);
	call();
	/*
	 * Without it the call is a jump, and this function is in no backtrace.
	 */
	barrier();
}

static const u32 constant = 1;

static noinline void osq_crash_write_constant(void)
{
	u32 *place = (u32 *)&constant;

	OPTIMIZER_HIDE_VAR(place);
	WRITE_ONCE(*place, 2);
}

/* Copy more than the block to user space: its neighbours' secrets. */
static noinline long osq_crash_usercopy(void)
{
	void __user *user = (void __user *)current->mm->start_stack;
	size_t bytes = 2 * PAGE_SIZE;
	void *block = kzalloc(BLOCK_BYTES, GFP_KERNEL);
	unsigned long left;

	if (!block)
		return -ENOMEM;
	/*
	 * The compiler knows the size that kzalloc returned, and would object
	 * itself.
	 */
	OPTIMIZER_HIDE_VAR(bytes);
	OPTIMIZER_HIDE_VAR(block);
	left = copy_to_user(user, block, bytes);
	kfree(block);
	return left ? -EFAULT : 0;
}

/*
 * osq_test_spoil - use memory wrongly, in the way that @kind names.
 *
 * Return: if at all, 0; -EINVAL for an unknown kind; -ENOMEM.
 */
long osq_test_spoil(u32 kind)
{
	switch (kind) {
	case OSQ_CRASH_USE_AFTER_FREE:
		osq_crash_use_after_free();
		return 0;
	case OSQ_CRASH_LEAK:
		return osq_crash_leak();
	case OSQ_CRASH_OUT_OF_BOUNDS:
		return osq_crash_out_of_bounds();
	case OSQ_CRASH_DOUBLE_FREE:
		return osq_crash_double_free();
	case OSQ_CRASH_LIST:
		osq_crash_list();
		return 0;
	case OSQ_CRASH_REFCOUNT:
		osq_crash_refcount();
		return 0;
	case OSQ_CRASH_EXECUTE_DATA:
		osq_crash_execute_data();
		return 0;
	case OSQ_CRASH_WRITE_CONSTANT:
		osq_crash_write_constant();
		return 0;
	case OSQ_CRASH_USERCOPY:
		return osq_crash_usercopy();
	}
	return -EINVAL;
}
