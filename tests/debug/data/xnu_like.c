// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * A kernel of four functions, for tests of the KDP bridge: it waits for a debugger as XNU does,
 * then works for ever. Compiled for macOS, run by an emulated x86_64 CPU.
 */

struct counters {
	unsigned long reserved;
	unsigned long dropped;
};

struct counters counters = { 0, 3 };

__attribute__((noinline)) void
Debugger(const char *why)
{
	(void)why;
	__asm__ volatile("int3");
}

__attribute__((noinline)) long
ring_reserve(long size)
{
	long claimed = size + 8;

	counters.reserved += (unsigned long)claimed;
	return claimed;
}

__attribute__((noinline)) long
device_ioctl(long command)
{
	long size = command * 2;

	return ring_reserve(size);
}

void
kernel_main(void)
{
	long command = 20;

	Debugger("waiting for a debugger");
	for (;;)
		command = device_ioctl(command) & 0xff;
}
