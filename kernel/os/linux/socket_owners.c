// SPDX-License-Identifier: GPL-2.0-only
/*
 * socket_owners.c - who is behind a socket, for hooks that run elsewhere: in
 * a soft interrupt, when a handshake ends, or in a worker that closes what a
 * process has left.
 *
 * It is a cache of fixed size, by socket cookie. What makes room for another
 * is the socket that was quiet for longest; one with a connect in progress is
 * never put out, so that either its outcome is told or the caller counts it.
 *
 * A connect goes through these, under its set's lock:
 *
 *	QUIET --begin--> CALLING --end, handshaking--> WAITING --outcome--> QUIET
 *			  |   \--end, not so--> QUIET
 *			  outcome
 *			  v
 *			 OVER --end--> QUIET
 *
 * so it does not matter which comes first, the return of the call or the end
 * of the handshake on another CPU. Calls of several threads may overlap; the
 * last one decides.
 */
#include "osq_sets.h"
#include "osq_socket.h"

#define WAYS 4

enum phase {
	QUIET = 0,
	CALLING,
	WAITING,
	OVER,
};

struct entry {
	u64 cookie; /* 0: free */
	u64 used; /* set.clock at its last use */
	u32 phase;
	u32 calls; /* of connect, that run */
	int result; /* when OVER */
	struct osq_socket_owner owner;
};

struct set {
	struct osq_set base;
	u64 clock;
	struct entry way[WAYS];
};

/* From open to close; no hook runs outside. */
static struct osq_sets sets = { .bits = 10, .bytes = sizeof(struct set) };

/*
 * osq_socket_owners_open - allocate the cache.
 *
 * Context: may sleep; device_mutex is held.
 * Return: 0 or -ENOMEM.
 */
int osq_socket_owners_open(void)
{
	return osq_sets_open(&sets);
}

/* osq_socket_owners_close - free the cache; no hook runs any more. */
void osq_socket_owners_close(void)
{
	osq_sets_close(&sets);
}

/* Context: the set's lock is held. */
static struct entry *find(struct set *set, u64 cookie)
{
	int at;

	for (at = 0; at < WAYS; at++)
		if (set->way[at].cookie == cookie)
			return &set->way[at];
	return NULL;
}

/*
 * Return the entry of @cookie, which is made if there is room. Context: as
 * find.
 * Return: NULL when all entries are of connects in progress.
 */
static struct entry *find_or_make(struct set *set, u64 cookie)
{
	struct entry *found = find(set, cookie);
	struct entry *oldest = NULL;
	int at;

	for (at = 0; !found && at < WAYS; at++) {
		struct entry *one = &set->way[at];

		if (one->phase == QUIET && !one->calls &&
		    (!oldest || one->used < oldest->used))
			oldest = one;
	}
	if (!found && oldest) {
		memset(oldest, 0, sizeof(*oldest));
		oldest->cookie = cookie;
		found = oldest;
	}
	if (found)
		found->used = ++set->clock;
	return found;
}

/*
 * osq_socket_owners_remember - store that @owner has the socket. Context: any.
 */
void osq_socket_owners_remember(u64 cookie,
				const struct osq_socket_owner *owner)
{
	struct set *set = osq_set_lock(&sets, cookie);
	struct entry *entry;

	entry = find_or_make(set, cookie);
	if (entry)
		entry->owner = *owner;
	osq_set_unlock(&set->base);
}

/* osq_socket_owners_begin - store that @owner calls connect. Context: any. */
void osq_socket_owners_begin(u64 cookie, const struct osq_socket_owner *owner)
{
	struct set *set = osq_set_lock(&sets, cookie);
	struct entry *entry;

	entry = find_or_make(set, cookie);
	if (entry) {
		entry->owner = *owner;
		entry->calls++;
		if (entry->phase != OVER)
			entry->phase = CALLING;
	}
	osq_set_unlock(&set->base);
}

/*
 * osq_socket_owners_end - store that a call of connect returns.
 * @in_progress: the call returned that it is in progress.
 * @handshaking: the handshake still runs.
 * @result: how the handshake has ended, when the answer is TELL.
 *
 * Context: any. The call's own record has been published.
 */
enum osq_socket_ending osq_socket_owners_end(u64 cookie, bool in_progress,
					     bool handshaking, int *result)
{
	enum osq_socket_ending ending = OSQ_SOCKET_TOLD;
	struct set *set = osq_set_lock(&sets, cookie);
	struct entry *entry;

	entry = find(set, cookie);
	if (!entry || !entry->calls) {
		if (handshaking)
			ending = OSQ_SOCKET_FORGOTTEN;
	} else if (entry->phase == OVER) {
		entry->calls--;
		entry->phase = QUIET;
		*result = entry->result;
		if (in_progress)
			ending = OSQ_SOCKET_TELL;
	} else if (!--entry->calls) {
		entry->phase = handshaking ? WAITING : QUIET;
	}
	osq_set_unlock(&set->base);
	return ending;
}

/*
 * osq_socket_owners_outcome - store that a handshake has ended.
 * @owner: the socket's owner, when the answer is true.
 *
 * Context: any.
 * Return: true when the caller has to report the outcome; false when a running
 * call will report it, or no connect is in progress.
 */
bool osq_socket_owners_outcome(u64 cookie, int result,
			       struct osq_socket_owner *owner)
{
	bool tell = false;
	struct set *set = osq_set_lock(&sets, cookie);
	struct entry *entry;

	entry = find(set, cookie);
	if (entry && entry->phase == CALLING) {
		entry->phase = OVER;
		entry->result = result;
	} else if (entry && entry->phase == WAITING) {
		entry->phase = QUIET;
		*owner = entry->owner;
		tell = true;
	}
	osq_set_unlock(&set->base);
	return tell;
}

/* osq_socket_owners_forget - remove a closed socket; was its @owner known? */
bool osq_socket_owners_forget(u64 cookie, struct osq_socket_owner *owner)
{
	struct set *set = osq_set_lock(&sets, cookie);
	struct entry *entry;

	entry = find(set, cookie);
	if (entry) {
		*owner = entry->owner;
		memset(entry, 0, sizeof(*entry));
	}
	osq_set_unlock(&set->base);
	return entry;
}
