/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* produce.h - the publishers of osqhostd, and what makes them publish. */
#ifndef PRODUCE_H
#define PRODUCE_H

#include <stdint.h>

/* Publish @count programs at once, and return when it is done. */
void produce_burst(uint64_t count);

/*
 * Publish so many records a second from now on, from two threads: of eight,
 * two forks, two exits, four programs. 0 ends it, and returns when it has.
 */
void produce_rate(uint64_t per_second);

#endif
