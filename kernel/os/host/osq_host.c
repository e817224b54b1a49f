// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* osq_host.c - see osq_host.h. */
#include "osq_host.h"

#include "osq_os.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static atomic_ullong stopped_at_ns;

/*
 * osq_host_map_shared - map @size zeroed bytes, a multiple of the page size,
 * twice; another process may map @memory, too.
 * @memory: a descriptor of the bytes, which the caller closes.
 *
 * Return: the address of 2 * @size bytes, or NULL.
 */
void *osq_host_map_shared(size_t size, int *memory)
{
	int fd = memfd_create("osq-ring", MFD_CLOEXEC);
	char *data = MAP_FAILED;
	int i;

	if (fd < 0 || ftruncate(fd, (off_t)size))
		goto out;
	data = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	for (i = 0; data != MAP_FAILED && i < 2; i++) {
		void *at = mmap(data + i * size, size, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, fd, 0);

		if (at == MAP_FAILED) {
			munmap(data, 2 * size);
			data = MAP_FAILED;
		}
	}
out:
	if (data == MAP_FAILED && fd >= 0)
		close(fd);
	*memory = data == MAP_FAILED ? -1 : fd;
	return data == MAP_FAILED ? NULL : data;
}

/* osq_host_map - as osq_host_map_shared, for this process alone. */
void *osq_host_map(size_t size)
{
	int memory;
	void *data = osq_host_map_shared(size, &memory);

	if (data)
		close(memory);
	return data;
}

void osq_host_unmap(void *data, size_t size)
{
	munmap(data, 2 * size);
}

#ifndef OSQ_HOST_SPIN

_Thread_local struct osq_host_thread osq_host_thread;

struct osq_host_work osq_host_work(void)
{
	struct osq_host_work work = osq_host_thread.work;

	osq_host_thread.work = (struct osq_host_work){ 0 };
	return work;
}

static void note_clock_read(void)
{
	if (osq_host_thread.holds_lock)
		osq_host_thread.work.clock_reads++;
}

#else

static void note_clock_read(void)
{
}

#endif

void osq_host_stop_clock(unsigned long long ns)
{
	atomic_store(&stopped_at_ns, ns);
}

u64 osq_os_boot_ns(void)
{
	u64 stopped_ns = atomic_load(&stopped_at_ns);
	struct timespec now;

	note_clock_read();
	if (stopped_ns)
		return stopped_ns;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (u64)now.tv_sec * 1000000000u + (u64)now.tv_nsec;
}
