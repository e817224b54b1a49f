// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* no_publishers.c - an empty table of publishers, for tests of the ring. */
#include "osq_publisher.h"

const struct osq_publisher osq_publishers[] = { { 0 } };
