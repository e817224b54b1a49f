// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_file.c - a record for what happens to watched files, from a
 * listener of kauth's scope of file operations.
 *
 * kauth reports an operation after it was done, with complete and resolved
 * paths. A watch covers these: /private/etc works, /etc does not. kauth does
 * not report new files and changed attributes, nor the attributes of a file.
 */
#include <sys/kauth.h>

#include "osq_macos.h"
#include "osq_watch.h"

#define PATH_MAX_BYTES 1024u

_Static_assert(sizeof(struct osq_file) + 2 * PATH_MAX_BYTES <=
		       OSQ_RECORD_MAX_BYTES,
	       "a file record fits");

static struct osq_gate gate;
static kauth_listener_t listener;
static u64 chosen; /* OSQ_FILE_OPT; atomic */
/* osq_watch_mutex protects the table, which each change replaces. */
static struct osq_watches *watches;

static struct osq_path path_of(uintptr_t text)
{
	struct osq_path path = { .bytes = (const char *)text };

	if (text)
		path.len = (u32)strnlen(path.bytes, PATH_MAX_BYTES);
	return path;
}

static bool is_watched(u32 action, const struct osq_path *path)
{
	const struct osq_watched *found;

	lck_mtx_lock(osq_watch_mutex);
	found = osq_watches_match(watches, 0, OSQ_FILE_OPT(action), path);
	lck_mtx_unlock(osq_watch_mutex);
	return found;
}

static void put_path(struct osq_file *file, struct osq_span *span,
		     const struct osq_path *path)
{
	void *to = osq_record_append(&file->head, span, path->len);

	memcpy(to, path->bytes, path->len);
}

static void encode(struct osq_file *file, kauth_cred_t cred, u32 action,
		   const struct osq_path *path, const struct osq_path *dest)
{
	osq_head_fill(&file->head, sizeof(*file), OSQ_TYPE_FILE);
	file->action = action;
	file->uid = kauth_cred_getruid(cred);
	file->euid = kauth_cred_getuid(cred);
	file->suid = kauth_cred_getsvuid(cred);
	file->fsuid = file->euid;
	file->gid = kauth_cred_getrgid(cred);
	file->egid = kauth_cred_getgid(cred);
	file->sgid = kauth_cred_getsvgid(cred);
	file->fsgid = file->egid;
	file->auid = UINT32_MAX;
	file->session = UINT32_MAX;
	put_path(file, &file->path, path);
	put_path(file, &file->dest_path, dest);
}

static void publish(struct osq_ring *ring, kauth_cred_t cred, u32 action,
		    const struct osq_path *path, const struct osq_path *dest)
{
	struct osq_scratch *scratch;
	u64 wanted = __atomic_load_n(&chosen, __ATOMIC_RELAXED);

	if (!(wanted & OSQ_FILE_OPT(action)) ||
	    !(is_watched(action, path) ||
	      (dest->len && is_watched(action, dest))))
		return;
	scratch = osq_scratch_get();
	if (!scratch) {
		osq_publish_nothing(ring, OSQ_TYPE_FILE, OSQ_DROP_NESTED);
		return;
	}
	encode(&scratch->file, cred, action, path, dest);
	osq_publish(ring, &scratch->head);
	osq_scratch_put(scratch);
}

/* kpi/sys/kauth.h describes kauth's arguments. */
static void on_action(struct osq_ring *ring, kauth_cred_t cred,
		      kauth_action_t action, const uintptr_t *args)
{
	const struct osq_path none = { .bytes = "" };
	struct osq_path first = path_of(args[1]), second;

	switch (action) {
	case KAUTH_FILEOP_OPEN:
		publish(ring, cred, OSQ_FILE_OPEN, &first, &none);
		break;
	case KAUTH_FILEOP_CLOSE:
		if (args[2] & KAUTH_FILEOP_CLOSE_MODIFIED)
			publish(ring, cred, OSQ_FILE_CLOSE_WRITE, &first,
				&none);
		break;
	case KAUTH_FILEOP_DELETE:
		publish(ring, cred, OSQ_FILE_UNLINK, &first, &none);
		break;
	case KAUTH_FILEOP_LINK:
		publish(ring, cred, OSQ_FILE_LINK, &first, &none);
		break;
	case KAUTH_FILEOP_RENAME:
	case KAUTH_FILEOP_EXCHANGE:
		second = path_of(args[0]);
		publish(ring, cred, OSQ_FILE_RENAME, &second, &first);
		if (action == KAUTH_FILEOP_EXCHANGE)
			publish(ring, cred, OSQ_FILE_RENAME, &first, &second);
		break;
	default:
		break;
	}
}

/* Context: any thread; may sleep. */
static int on_fileop(kauth_cred_t cred, void *data, kauth_action_t action,
		     uintptr_t arg0, uintptr_t arg1, uintptr_t arg2,
		     uintptr_t arg3)
{
	const uintptr_t args[] = { arg0, arg1, arg2 };
	struct osq_ring *ring = osq_gate_enter(&gate);

	(void)data;
	(void)arg3;
	if (ring)
		on_action(ring, cred, action, args);
	osq_gate_leave(&gate);
	return KAUTH_RESULT_DEFER;
}

/* Nobody uses @old any more; its successor does not have @without. */
static void put_table(struct osq_watches *with, struct osq_watched *without)
{
	struct osq_watches *old;

	lck_mtx_lock(osq_watch_mutex);
	old = watches;
	watches = with;
	lck_mtx_unlock(osq_watch_mutex);
	osq_os_free(old);
	osq_watched_destroy(without);
}

static int change(struct osq_watched *without, struct osq_watched *with)
{
	struct osq_watches *now = osq_watches_replace(watches, without, with);

	if (!now) {
		osq_watched_destroy(with);
		return -ENOMEM;
	}
	put_table(now, without);
	return 0;
}

static int add(const struct osq_watch *watch, const struct osq_path *path)
{
	struct osq_watched *old = osq_watches_find(watches, path);
	const struct osq_view view = { .place = *path, .shown = *path };
	const struct osq_view root = {};
	struct osq_watched *made;

	if (!old && watches && watches->count >= OSQ_WATCH_MAX)
		return -ENOSPC;
	made = osq_watched_create(watch->actions, &view, &root);
	return made ? change(old, made) : -ENOMEM;
}

/*
 * osq_watch_apply - add or remove a watch.
 *
 * Context: osq_device_mutex is held, files are subscribed to; may sleep.
 * Return: 0; -EINVAL for an invalid value, action or path;
 * -ENOENT when there is nothing to remove; -ENOSPC; -ENOMEM.
 */
int osq_watch_apply(const struct osq_watch *watch)
{
	struct osq_path path = { .bytes = watch->path,
				 .len = watch->path_bytes };
	struct osq_watched *old;

	if (watch->on > 1 || watch->path_bytes > OSQ_WATCH_PATH_BYTES ||
	    !osq_path_is_proper(watch->path, watch->path_bytes) ||
	    (watch->actions & ~OSQ_FILE_OPT_ALL) ||
	    !watch->on == !!watch->actions)
		return -EINVAL;
	if (path.len == 1) /* the root is empty */
		path.len = 0;
	if (watch->on)
		return add(watch, &path);
	old = osq_watches_find(watches, &path);
	return old ? change(old, NULL) : -ENOENT;
}

static void drop_watches(void)
{
	u32 i;

	for (i = 0; watches && i < watches->count; i++)
		osq_watched_destroy(watches->watched[i]);
	osq_os_free(watches);
	watches = NULL;
}

/* osq_publish_file_init - begin without a listener and without watches. */
void osq_publish_file_init(void)
{
	memset(&gate, 0, sizeof(gate));
	listener = NULL;
	watches = NULL;
}

/*
 * osq_publish_file_start - see struct osq_publisher.
 *
 * Return: 0 or -ENOMEM, also when kauth's scope has all its listeners.
 */
int osq_publish_file_start(struct osq_ring *ring, u64 options)
{
	int err = osq_scratch_open();

	if (err)
		return err;
	osq_publish_file_configure(options);
	osq_gate_open(&gate, ring);
	listener = kauth_listen_scope(KAUTH_SCOPE_FILEOP, on_fileop, NULL);
	if (!listener) {
		osq_gate_close(&gate);
		osq_scratch_close();
		return -ENOMEM;
	}
	return 0;
}

/* osq_publish_file_configure - see struct osq_publisher; 0 is all actions. */
void osq_publish_file_configure(u64 options)
{
	__atomic_store_n(&chosen, options ? options : OSQ_FILE_OPT_ALL,
			 __ATOMIC_RELAXED);
}

/* osq_publish_file_stop - see struct osq_publisher. The watches end, too. */
void osq_publish_file_stop(void)
{
	kauth_unlisten_scope(listener);
	listener = NULL;
	osq_gate_close(&gate);
	osq_scratch_close();
	drop_watches();
}

bool osq_publish_file_may_unload(void)
{
	return osq_gate_may_unload(&gate);
}
