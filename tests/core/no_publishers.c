// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* no_publishers.c - the system's table, for tests that need none. */
#include "osq_publisher.h"

const struct osq_publisher osq_publishers[] = { { 0 } };
