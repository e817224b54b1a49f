// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_build.c - the difference between a test build and a release: it loads
 * only with a parameter, taints the kernel, and has ioctls that no release has.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "osq_linux.h"
#include "osq_test.h"
#include "osq_test_build.h"
#include "osq_test_crash.h"

static bool i_know_this_is_a_test;
module_param(i_know_this_is_a_test, bool, 0400);
MODULE_PARM_DESC(i_know_this_is_a_test,
		 "must be 1: this build can crash the machine on request");

static char *hide = "";
module_param(hide, charp, 0400);
MODULE_PARM_DESC(hide, "name of a tracepoint that is to be taken as missing");

int osq_test_allowed(void)
{
	if (!i_know_this_is_a_test) {
		pr_err(OSQ_NAME ": a test build; it loads with "
				"i_know_this_is_a_test=1 only\n");
		return -EPERM;
	}
	add_taint(OSQ_TAINT_TEST, LOCKDEP_STILL_OK);
	return 0;
}

bool osq_test_hides(const char *hook)
{
	return !strcmp(hide, hook);
}

bool osq_test_knows(unsigned int command)
{
	return command == OSQ_IOC_TEST_PRODUCE ||
	       command == OSQ_IOC_TEST_CRASH || command == OSQ_IOC_TEST_MISS;
}

static long produce(void __user *user)
{
	struct osq_test_produce *order = memdup_user(user, sizeof(*order));
	long err;

	if (IS_ERR(order))
		return PTR_ERR(order);
	err = osq_test_produce(order);
	if (!err && copy_to_user(user, order, sizeof(*order)))
		err = -EFAULT;
	kfree(order);
	return err;
}

long osq_test_ioctl(unsigned int command, void __user *user)
{
	u32 number;

	if (command == OSQ_IOC_TEST_PRODUCE)
		return produce(user);
	if (copy_from_user(&number, user, sizeof(number)))
		return -EFAULT;
	return command == OSQ_IOC_TEST_MISS ? osq_test_miss(number)
					    : osq_test_crash(number);
}
