/* SPDX-License-Identifier: GPL-2.0-only */
/* osq_node.h - the character device under /dev. */
#ifndef OSQ_NODE_H
#define OSQ_NODE_H

struct file_operations;

int osq_node_add(const struct file_operations *fops);
void osq_node_remove(void);

#endif
