// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqwait.c - wait for records in every way there is, and leave in odd ones.
 *
 * A test tool, one scene a run; the first three print one JSON object:
 *	osqwait ways	SYNC with WAIT, poll and epoll: what ends each wait
 *	osqwait latency	how long, in ms, a shorter latency takes after a long one
 *			(osqwait_test, which speaks to the test build)
 *	osqwait busy	maps the ring, and opens another device, while another
 *			call is slow and a third process opens this device
 *			(osqwait_test)
 *	osqwait shared	the owner dies, and a child shares its descriptor table
 *	osqwait mapped	no JSON: a mapping without a descriptor, until killed
 *	osqwait idle COMMAND	runs it while a ring is there and nothing subscribed
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "osq_test.h"

#define RING_BYTES 65536
#define LONG_MS 60000u
#define SHORT_MS 1500u
#define POLL_MS 30000
#define PAUSE_US 200000
/* Misc devices are opened under one lock of the kernel. */
#define OTHER_DEVICE "/dev/cpu_dma_latency"
#define PAGE_FILE "/sys/class/osq/osquery/stats"

struct ring {
	int fd;
	struct osq_sync sync; /* of the last SYNC that worked */
};

static int first = 1;

static void say(const char *what, long value)
{
	printf("%s\"%s\":%ld", first ? "{" : ",", what, value);
	first = 0;
	fflush(stdout);
}

static void must(int worked, const char *what)
{
	if (worked)
		return;
	perror(what);
	exit(1);
}

static void allocate(struct ring *ring)
{
	struct osq_allocate request = { .abi = OSQ_ABI_VERSION,
					.ring_bytes = RING_BYTES };

	must(!ioctl(ring->fd, OSQ_IOC_ALLOCATE, &request), "ALLOCATE");
	memset(&ring->sync, 0, sizeof(ring->sync));
	ring->sync.generation = request.generation;
}

static struct ring open_ring(int flags)
{
	struct ring ring = { .fd = open(OSQ_DEVICE, O_RDWR | flags) };

	must(ring.fd >= 0, OSQ_DEVICE);
	allocate(&ring);
	return ring;
}

static void subscribe(const struct ring *ring, unsigned int type,
		      unsigned int on)
{
	struct osq_subscribe request = { .type = type, .on = on };

	must(!ioctl(ring->fd, OSQ_IOC_SUBSCRIBE, &request), "SUBSCRIBE");
}

static void notify(const struct ring *ring, unsigned int latency_ms)
{
	struct osq_notify request = { .watermark_bytes = RING_BYTES,
				      .latency_ms = latency_ms };

	must(!ioctl(ring->fd, OSQ_IOC_NOTIFY, &request), "NOTIFY");
}

/* Give back what was told last; returns the errno. */
static int sync_ring(struct ring *ring, unsigned int flags)
{
	struct osq_sync request = { .generation = ring->sync.generation,
				    .flags = flags,
				    .read_pos = ring->sync.max_pos };

	if (ioctl(ring->fd, OSQ_IOC_SYNC, &request))
		return errno;
	ring->sync = request;
	return 0;
}

/* After a while a child makes a child, so a record; or calls the device. */
static void child_does(const struct ring *meddle_with)
{
	struct osq_version version;

	fflush(stdout);
	if (fork())
		return;
	usleep(PAUSE_US);
	if (meddle_with)
		ioctl(meddle_with->fd, OSQ_IOC_VERSION, &version);
	else if (!fork())
		_exit(0);
	_exit(0);
}

static void on_alarm(int number)
{
	(void)number;
}

static int interrupted(struct ring *ring)
{
	struct sigaction action = { .sa_handler = on_alarm };
	/* Again and again: the first may come before the wait has begun. */
	struct itimerval soon = { .it_value.tv_usec = PAUSE_US,
				  .it_interval.tv_usec = PAUSE_US };
	struct itimerval never = { 0 };
	int err;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	err = sync_ring(ring, OSQ_SYNC_WAIT);
	setitimer(ITIMER_REAL, &never, NULL);
	return err;
}

static long poll_for(const struct ring *ring, int timeout_ms)
{
	struct pollfd ready = { .fd = ring->fd, .events = POLLIN };

	return poll(&ready, 1, timeout_ms) < 0 ? -errno : ready.revents;
}

/* Until nothing is unread: each SYNC gives back what the one before told. */
static void drain(struct ring *ring)
{
	while (!sync_ring(ring, 0) && ring->sync.pending)
		;
}

/* Edge-triggered: told of a record that comes after the descriptor was added. */
static long epoll_for(struct ring *ring)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int set = epoll_create1(EPOLL_CLOEXEC);

	child_does(NULL);
	drain(ring);
	epoll_ctl(set, EPOLL_CTL_ADD, ring->fd, &event);
	event.events = 0;
	epoll_wait(set, &event, 1, POLL_MS);
	close(set);
	return event.events;
}

static void ways(void)
{
	struct ring ring = open_ring(O_CLOEXEC | O_NONBLOCK);

	say("nonblocking", sync_ring(&ring, OSQ_SYNC_WAIT));
	say("poll_nothing", poll_for(&ring, 0));
	fcntl(ring.fd, F_SETFL, 0);
	say("signal", interrupted(&ring));
	child_does(NULL);
	subscribe(&ring, OSQ_TYPE_FORK, 1);
	say("record", sync_ring(&ring, OSQ_SYNC_WAIT));
	say("record_is_there", ring.sync.max_pos > 0);
	while (wait(NULL) > 0)
		;
	say("epoll_edge", epoll_for(&ring));
	say("poll_record", poll_for(&ring, POLL_MS));
	subscribe(&ring, OSQ_TYPE_FORK, 0);
	drain(&ring);
	child_does(&ring);
	say("meddled_while_waiting", sync_ring(&ring, OSQ_SYNC_WAIT));
	say("poll_invalid", poll_for(&ring, POLL_MS));
	puts("}");
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A record that nobody else makes, so that none comes after it by itself. */
static void one_record(const struct ring *ring)
{
	struct osq_test_produce order = {
		.count = 1,
		.bytes = sizeof(struct osq_test_record),
	};

	must(!ioctl(ring->fd, OSQ_IOC_TEST_PRODUCE, &order), "PRODUCE");
}

/* One unread record, and a reader that has looked: the timer is armed. */
static void arm_for_long(const struct ring *ring)
{
	notify(ring, LONG_MS);
	subscribe(ring, OSQ_TYPE_TEST, 1);
	one_record(ring);
	must(poll_for(ring, 0) == 0, "told too early");
}

/* The next record comes while the timer of @ring's owner, or of one before, runs. */
static void time_short(const struct ring *ring, const char *told,
		       const char *took)
{
	long began_ms = now_ms();

	one_record(ring);
	say(told, poll_for(ring, POLL_MS));
	say(took, now_ms() - began_ms);
}

static void latency(void)
{
	struct ring ring = open_ring(O_CLOEXEC);

	arm_for_long(&ring);
	drain(&ring);
	notify(&ring, SHORT_MS);
	time_short(&ring, "poll", "after_notify_ms");
	close(ring.fd);

	ring = open_ring(O_CLOEXEC);
	arm_for_long(&ring);
	close(ring.fd);
	ring = open_ring(O_CLOEXEC);
	notify(&ring, SHORT_MS);
	subscribe(&ring, OSQ_TYPE_TEST, 1);
	time_short(&ring, "poll_of_next", "next_owner_ms");
	puts("}");
}

static long ring_bytes_now(void)
{
	FILE *page = fopen(PAGE_FILE, "re");
	char line[128];
	long bytes = -1;

	while (page && fgets(line, sizeof(line), page))
		sscanf(line, "ring_bytes %ld", &bytes);
	if (page)
		fclose(page);
	return bytes;
}

/* Nobody waits for the owner, so it stays a zombie; nobody opens the device. */
static void shared(void)
{
	int tries = 100;
	int ready[2];
	char byte;

	must(!pipe(ready), "pipe");
	fflush(stdout);
	if (!fork()) {
		struct ring ring = open_ring(0);

		subscribe(&ring, OSQ_TYPE_FORK, 1);
		if (!syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0))
			for (;;)
				pause();
		must(write(ready[1], "r", 1) == 1, "write");
		usleep(PAUSE_US);
		_exit(0);
	}
	must(read(ready[0], &byte, 1) == 1, "read");
	say("ring_before", ring_bytes_now());
	while (ring_bytes_now() && --tries)
		usleep(PAUSE_US / 2);
	say("ring_after", ring_bytes_now());
	puts("}");
}

static void mapped(void)
{
	struct ring ring = open_ring(O_CLOEXEC);
	volatile char *at =
		mmap(NULL, 2 * RING_BYTES, PROT_READ, MAP_SHARED, ring.fd, 0);

	must((const void *)at != MAP_FAILED, "mmap");
	close(ring.fd);
	printf("mapped %d\n", at[0] + at[2 * RING_BYTES - 1]);
	fflush(stdout);
	for (;;)
		pause();
}

static int slow_is_over;

static void *be_slow(void *arg)
{
	struct osq_subscribe test = {
		.type = OSQ_TYPE_TEST,
		.on = 1,
		.options = OSQ_TEST_OPT_SLOW,
	};

	must(!ioctl(((struct ring *)arg)->fd, OSQ_IOC_SUBSCRIBE, &test),
	     "SUBSCRIBE");
	__atomic_store_n(&slow_is_over, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Another process opens the device, which has an owner. */
static pid_t open_elsewhere(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(open(OSQ_DEVICE, O_RDWR | O_CLOEXEC) >= 0);
	must(pid > 0, "fork");
	usleep(PAUSE_US);
	return pid;
}

/* A call that waits for the slow one says so here. */
static void busy(void)
{
	struct ring ring = open_ring(O_CLOEXEC);
	pthread_t other;
	void *at;
	int fd;

	must(!pthread_create(&other, NULL, be_slow, &ring), "thread");
	usleep(PAUSE_US);
	must(waitpid(open_elsewhere(), NULL, WNOHANG) >= 0, "waitpid");
	fd = open(OTHER_DEVICE, O_RDONLY | O_CLOEXEC);
	say("opened_late", __atomic_load_n(&slow_is_over, __ATOMIC_SEQ_CST));
	must(fd >= 0, OTHER_DEVICE);
	at = mmap(NULL, 2 * RING_BYTES, PROT_READ, MAP_SHARED, ring.fd, 0);
	say("waited", __atomic_load_n(&slow_is_over, __ATOMIC_SEQ_CST));
	say("mapped", at != MAP_FAILED);
	pthread_join(other, NULL);
	puts("}");
}

static int idle(const char *command)
{
	struct ring ring = open_ring(O_CLOEXEC);
	int status = system(command);

	close(ring.fd);
	return status;
}

int main(int argc, char **argv)
{
	const char *scene = argc == 2 ? argv[1] : "";

	if (argc == 3 && !strcmp(argv[1], "idle"))
		return idle(argv[2]) ? 1 : 0;

	if (!strcmp(scene, "ways"))
		ways();
	else if (!strcmp(scene, "latency"))
		latency();
	else if (!strcmp(scene, "shared"))
		shared();
	else if (!strcmp(scene, "busy"))
		busy();
	else if (!strcmp(scene, "mapped"))
		mapped();
	else
		return 2;
	return 0;
}
