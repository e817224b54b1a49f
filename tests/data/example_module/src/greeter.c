// SPDX-License-Identifier: GPL-2.0-only
/*
 * greeter - the harness' second customer.
 *
 * It greets in the kernel log, or misbehaves on request: what the harness
 * says of a module that fails is tested with it.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/smp.h>

static char *mode = "greet";
module_param(mode, charp, 0444);
MODULE_PARM_DESC(mode, "greet, refuse, hang, warn, oops, lockup or cling");

/* Never comes back, and with interrupts off nothing else on this CPU does. */
static void greeter_spin(void *unused)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
}

static int greeter_open(struct inode *inode, struct file *file)
{
	if (!strcmp(mode, "lockup"))
		on_each_cpu(greeter_spin, NULL, 0);
	return 0;
}

static const struct file_operations greeter_fops = {
	.owner = THIS_MODULE,
	.open = greeter_open,
};

static struct miscdevice greeter_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "greeter",
	.fops = &greeter_fops,
	.mode = 0600,
};

static int __init greeter_init(void)
{
	if (!strcmp(mode, "refuse"))
		return -EADDRINUSE;
	if (!strcmp(mode, "hang"))
		while (!signal_pending(current))
			ssleep(1);
	WARN(!strcmp(mode, "warn"), "greeter was asked to warn\n");
	if (!strcmp(mode, "oops"))
		*(volatile int *)8 = 42;
	pr_info("greeter: hello\n");
	return misc_register(&greeter_device);
}

static void __exit greeter_exit(void)
{
	DECLARE_COMPLETION_ONSTACK(never);

	if (!strcmp(mode, "cling"))
		wait_for_completion(&never);
	misc_deregister(&greeter_device);
	pr_info("greeter: goodbye\n");
}

module_init(greeter_init);
module_exit(greeter_exit);
MODULE_DESCRIPTION("The harness' second customer");
MODULE_LICENSE("GPL");
