// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.c - the ring's pages: mapped twice in a row for the kernel, and
 * read-only, twice in a row, for the owner.
 */
#include <linux/gfp.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "osq_linux.h"

/*
 * osq_memory_init - allocate @size zeroed bytes.
 *
 * Return: 0; -EINVAL when that is not whole pages; -ENOMEM.
 */
int osq_memory_init(struct osq_memory *memory, u64 size)
{
	unsigned long count = size >> PAGE_SHIFT;
	unsigned long i;

	if (size & (PAGE_SIZE - 1))
		return -EINVAL;
	memory->data = NULL;
	memory->count = count;
	memory->pages =
		kvcalloc(2 * count, sizeof(*memory->pages), GFP_KERNEL_ACCOUNT);
	if (!memory->pages)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

		if (!page)
			goto fail;
		memory->pages[i] = page;
		memory->pages[count + i] = page;
	}
	memory->data = vmap(memory->pages, 2 * count, VM_MAP, PAGE_KERNEL);
	if (memory->data)
		return 0;
fail:
	osq_memory_deinit(memory);
	return -ENOMEM;
}

/*
 * osq_memory_deinit - give it back; the core has closed the ring.
 *
 * A user mapping that is left holds a reference of its own on every page. May
 * be called again, and for zeroed memory.
 */
void osq_memory_deinit(struct osq_memory *memory)
{
	unsigned long i;

	if (!memory->pages)
		return;
	if (memory->data)
		vunmap(memory->data);
	for (i = 0; i < memory->count && memory->pages[i]; i++)
		put_page(memory->pages[i]);
	kvfree(memory->pages);
	memory->pages = NULL;
	memory->data = NULL;
}

/*
 * osq_memory_map - show the ring to user space, twice in a row.
 *
 * Writing is refused now and for ever: with VM_MAYWRITE cleared, mprotect
 * cannot add it. A child does not inherit the mapping, a core does not hold
 * it.
 * Return: 0; -EINVAL for another length or offset or a private mapping,
 * -EACCES for more than reading.
 */
int osq_memory_map(const struct osq_memory *memory, struct vm_area_struct *vma)
{
	unsigned long pages = 2 * memory->count;

	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EACCES;
	if (vma->vm_pgoff || vma_pages(vma) != pages ||
	    !(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	osq_vm_flags(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP,
		     VM_MAYWRITE | VM_MAYEXEC);
	return vm_map_pages(vma, memory->pages, pages);
}
