// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* osq_publisher.c - look up the publisher of a type. */
#include "osq_publisher.h"

/* osq_publisher_find - return the publisher of @type, or NULL. Any context. */
const struct osq_publisher *osq_publisher_find(u32 type)
{
	const struct osq_publisher *publisher;

	for (publisher = osq_publishers; publisher->name; publisher++)
		if (publisher->type == type)
			return publisher;
	return NULL;
}
