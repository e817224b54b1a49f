// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.c - the ring's pages: mapped twice in a row for the kernel, and
 * read-only, twice in a row, for the owner.
 */
#include <linux/gfp.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "osq_linux.h"

/*
 * Protects the fields of an opening's memory against mmap. It is taken below
 * mmap_lock and inside device_mutex; under it only a mapping's page tables are
 * allocated.
 */
static DEFINE_MUTEX(memory_mutex);

static void free_pages_of(const struct osq_memory *memory)
{
	unsigned long i;

	if (memory->data)
		vunmap(memory->data);
	for (i = 0; i < memory->count && memory->pages[i]; i++)
		put_page(memory->pages[i]);
	kvfree(memory->pages);
}

/* Make mmap see other memory. Return: the earlier memory. */
static struct osq_memory exchange(struct osq_memory *memory,
				  struct osq_memory with)
{
	mutex_lock(&memory_mutex);
	swap(*memory, with);
	mutex_unlock(&memory_mutex);
	return with;
}

/*
 * osq_memory_init - allocate @size zeroed bytes.
 * @memory: osq_memory_deinit has been called for it, or it is zeroed.
 *
 * Context: may sleep; device_mutex is held.
 * Return: 0; -EINVAL when that is not whole pages; -ENOMEM.
 */
int osq_memory_init(struct osq_memory *memory, u64 size)
{
	struct osq_memory made = { .count = size >> PAGE_SHIFT };
	unsigned long i;

	if (size & (PAGE_SIZE - 1))
		return -EINVAL;
	made.pages = kvcalloc(2 * made.count, sizeof(*made.pages),
			      GFP_KERNEL_ACCOUNT);
	if (!made.pages)
		return -ENOMEM;
	for (i = 0; i < made.count; i++) {
		struct page *page = alloc_page(OSQ_GFP_MAPPED | __GFP_ZERO);

		if (!page)
			goto fail;
		made.pages[i] = page;
		made.pages[made.count + i] = page;
	}
	made.data = vmap(made.pages, 2 * made.count, VM_MAP, PAGE_KERNEL);
	if (made.data) {
		exchange(memory, made);
		return 0;
	}
fail:
	free_pages_of(&made);
	return -ENOMEM;
}

/*
 * osq_memory_deinit - free the memory; the core has closed the ring.
 *
 * A user mapping that is left holds a reference of its own on every page. May
 * be called again, and for zeroed memory. Context: as osq_memory_init.
 */
void osq_memory_deinit(struct osq_memory *memory)
{
	struct osq_memory old = exchange(memory, (struct osq_memory){});

	if (old.pages)
		free_pages_of(&old);
}

/*
 * osq_memory_map - map the ring into user space, twice in a row.
 *
 * The mapping can never become writable: with VM_MAYWRITE cleared, mprotect
 * cannot add it. A child does not inherit the mapping, and a core dump does not
 * contain it.
 * Context: mmap_lock is held; device_mutex is not.
 * Return: 0; -EINVAL for another length or offset or a private mapping, -EACCES
 * for more than reading; -ESTALE when the ring has just been freed.
 */
int osq_memory_map(const struct osq_memory *memory, struct vm_area_struct *vma)
{
	int err;

	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EACCES;
	mutex_lock(&memory_mutex);
	if (!memory->pages) {
		err = -ESTALE;
	} else if (vma->vm_pgoff || vma_pages(vma) != 2 * memory->count ||
		   !(vma->vm_flags & VM_MAYSHARE)) {
		err = -EINVAL;
	} else {
		osq_vm_flags(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP,
			     VM_MAYWRITE | VM_MAYEXEC);
		err = vm_map_pages(vma, memory->pages, 2 * memory->count);
	}
	mutex_unlock(&memory_mutex);
	return err;
}
