// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* no_publishers.c - an empty table, for tests of the ring alone. */
#include "osq_publisher.h"

const struct osq_publisher osq_publishers[] = { { 0 } };
