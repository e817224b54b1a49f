// SPDX-License-Identifier: GPL-2.0-only
/*
 * node.c - the character device under /dev, and its counters in sysfs.
 *
 * It is no misc device. The kernel opens all of those under one lock, so an
 * open that waits for device_mutex would keep everybody on the machine from
 * opening /dev/fuse, /dev/kvm and others.
 */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/module.h>

#include "osq_linux.h"
#include "osq_node.h"

/* Without a devnode of the class, devtmpfs gives the node mode 0600. */
static struct class node_class = { .name = OSQ_NAME };
static struct cdev *cdev;
static dev_t number;

static int add_cdev(const struct file_operations *fops)
{
	int err;

	cdev = cdev_alloc();
	if (!cdev)
		return -ENOMEM;
	cdev->owner = THIS_MODULE;
	cdev->ops = fops;
	err = cdev_add(cdev, number, 1);
	if (err)
		kobject_put(&cdev->kobj);
	return err;
}

static int add_device(void)
{
	return PTR_ERR_OR_ZERO(
		device_create_with_groups(&node_class, NULL, number, NULL,
					  osq_stats_groups, "%s", OSQ_NODE));
}

/*
 * osq_node_add - make the node; from now on it can be opened.
 *
 * Context: may sleep. Return: 0, or the error of what could not be made.
 */
int osq_node_add(const struct file_operations *fops)
{
	int err = alloc_chrdev_region(&number, 0, 1, OSQ_NODE);

	if (err)
		return err;
	err = class_register(&node_class);
	if (err)
		goto no_class;
	err = add_cdev(fops);
	if (err)
		goto no_cdev;
	err = add_device();
	if (!err)
		return 0;
	cdev_del(cdev);
no_cdev:
	class_unregister(&node_class);
no_class:
	unregister_chrdev_region(number, 1);
	return err;
}

/*
 * osq_node_remove - remove the node, and wait for who reads its counters.
 *
 * Context: may sleep; no file is open.
 */
void osq_node_remove(void)
{
	device_destroy(&node_class, number);
	cdev_del(cdev);
	class_unregister(&node_class);
	unregister_chrdev_region(number, 1);
}
