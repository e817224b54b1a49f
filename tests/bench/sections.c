// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sections.c - how long the ring's lock is held for one record, for the model
 * of many CPUs (harness/project/bench/contention.py).
 *
 * Two threads put in turn, so that each finds the lock and the counters in the
 * other CPU's cache. Only the put is timed, not the wait for the turn.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "measure.h"
#include "osq_host.h"
#include "osq_ring.h"

#define RING_BYTES (1u << 20)
#define RECORD_BYTES 256u
#define BATCHES 500u
#define BATCH_RECORDS 64u
#define TURNS 5000u
#define TURNS_END_NS 2000000000u /* on a busy machine a turn may take long */
#define LEAST_TURNS 100u

static struct osq_ring ring;
static u64 read_pos;

static void free_all(void)
{
	struct osq_sync sync;

	osq_ring_sync(&ring, read_pos, &sync);
	read_pos = sync.max_pos;
}

static double median(double *values, u32 count)
{
	qsort(values, count, sizeof(*values), bench_compare);
	return values[count / 2];
}

/* Return the time of one reserve and one commit, with a read of the clock. */
static double held_ns(void)
{
	static double times[BATCHES];
	struct osq_slot slots[BATCH_RECORDS];
	u32 batch, i;

	for (batch = 0; batch < BATCHES; batch++) {
		u64 begun_ns = bench_now_ns();

		for (i = 0; i < BATCH_RECORDS; i++) {
			osq_ring_reserve(&ring, OSQ_TYPE_EXEC, RECORD_BYTES,
					 OSQ_RANK_ANY, &slots[i]);
			osq_ring_commit(&ring, &slots[i]);
		}
		times[batch] =
			(double)(bench_now_ns() - begun_ns) / BATCH_RECORDS;
		free_all();
	}
	return median(times, BATCHES);
}

static double clock_ns(void)
{
	static double times[BATCHES];
	u32 batch, i;

	for (batch = 0; batch < BATCHES; batch++) {
		u64 begun_ns = bench_now_ns();

		for (i = 0; i < BATCH_RECORDS; i++)
			osq_os_boot_ns();
		times[batch] =
			(double)(bench_now_ns() - begun_ns) / BATCH_RECORDS;
	}
	return median(times, BATCHES);
}

static double copy_ns(void)
{
	static u8 from[RECORD_BYTES];
	static double times[BATCHES];
	u32 batch, i;

	for (batch = 0; batch < BATCHES; batch++) {
		u64 begun_ns = bench_now_ns();

		for (i = 0; i < BATCH_RECORDS; i++)
			osq_os_memcpy(ring.data + (batch * BATCH_RECORDS + i) *
							  RECORD_BYTES %
							  RING_BYTES,
				      from, RECORD_BYTES);
		times[batch] =
			(double)(bench_now_ns() - begun_ns) / BATCH_RECORDS;
	}
	return median(times, BATCHES);
}

struct taker {
	u32 id; /* 0 or 1: it takes the even or the odd turns */
	int cpu;
	u64 end_ns;
	u32 count;
	double times[TURNS];
};

static u32 turn;

static void stay_on(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
}

/* Return how often it looked, up to the end of all turns. */
static u32 wait_for_turn(const struct taker *me)
{
	u32 spins = 0;

	while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) % 2 != me->id)
		if (++spins % OSQ_HOST_SPINS == 0) {
			if (bench_now_ns() > me->end_ns)
				break;
			sched_yield();
		}
	return spins;
}

static void *take_turns(void *argument)
{
	struct taker *me = argument;
	struct osq_slot slot;
	u32 turns;

	stay_on(me->cpu);
	for (turns = 1; turns <= TURNS; turns++) {
		u32 spins = wait_for_turn(me);
		u64 begun_ns = bench_now_ns();

		if (begun_ns > me->end_ns)
			break;
		osq_ring_reserve(&ring, OSQ_TYPE_EXEC, RECORD_BYTES,
				 OSQ_RANK_ANY, &slot);
		osq_ring_commit(&ring, &slot);
		/* After a short wait, both threads have been running. */
		if (spins && spins < OSQ_HOST_SPINS)
			me->times[me->count++] =
				(double)(bench_now_ns() - begun_ns);
		if (turns % BATCH_RECORDS == 0)
			free_all();
		__atomic_add_fetch(&turn, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Find two CPUs that this process may use. Return how many there are. */
static int two_cpus(const cpu_set_t *allowed, int cpus[2])
{
	int cpu, count = 0;

	for (cpu = 0; cpu < CPU_SETSIZE && count < 2; cpu++)
		if (CPU_ISSET(cpu, allowed))
			cpus[count++] = cpu;
	return count;
}

/*
 * Return as held_ns, but with a second read of the clock, when another CPU had
 * the lock before; 0 when there is only one CPU, or never two at a time.
 */
static double foreign_ns(void)
{
	static struct taker takers[2] = { { .id = 0 }, { .id = 1 } };
	pthread_t other;
	cpu_set_t allowed;
	int cpus[2];

	pthread_getaffinity_np(pthread_self(), sizeof(allowed), &allowed);
	if (two_cpus(&allowed, cpus) < 2)
		return 0;
	takers[0].cpu = cpus[0];
	takers[1].cpu = cpus[1];
	takers[0].end_ns = bench_now_ns() + TURNS_END_NS;
	takers[1].end_ns = takers[0].end_ns;
	pthread_create(&other, NULL, take_turns, &takers[1]);
	take_turns(&takers[0]);
	pthread_join(other, NULL);
	pthread_setaffinity_np(pthread_self(), sizeof(allowed), &allowed);
	if (takers[0].count < LEAST_TURNS)
		return 0;
	return median(takers[0].times, takers[0].count);
}

void bench_sections(void)
{
	u8 *data = osq_host_map(RING_BYTES);
	double clock, held, foreign;

	osq_ring_init(&ring);
	if (!data || osq_ring_open(&ring, data, RING_BYTES))
		abort();
	memset(data, 0, RING_BYTES);
	clock = clock_ns();
	held = held_ns();
	foreign = foreign_ns();
	printf("{\"kind\": \"sections\", \"clock_ns\": %.1f, "
	       "\"held_ns\": %.1f, \"foreign_ns\": %.1f, \"copy_ns\": %.1f}\n",
	       clock, held - clock, foreign ? foreign - 2 * clock : 0,
	       copy_ns());
	osq_ring_close(&ring);
	osq_host_unmap(data, RING_BYTES);
}
