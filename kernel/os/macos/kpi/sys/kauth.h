/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The arguments of each file operation, from kern_authorization.c:
 *	OPEN	vnode, path		CLOSE	vnode, path, flags
 *	RENAME	from, to		EXCHANGE  path, path
 *	LINK	existing, new		EXEC	vnode, path
 *	DELETE	vnode, path
 * Source: xnu-11417.101.15, bsd/sys/kauth.h, bsd/kern/kern_authorization.c.
 */
#ifndef OSQ_KPI_KAUTH_H
#define OSQ_KPI_KAUTH_H

#include <sys/types.h>

typedef int kauth_action_t;
typedef struct kauth_listener *kauth_listener_t;
typedef int (*kauth_scope_callback_t)(kauth_cred_t credential, void *data,
				      kauth_action_t action, uintptr_t arg0,
				      uintptr_t arg1, uintptr_t arg2,
				      uintptr_t arg3);

#define KAUTH_RESULT_DEFER 3
#define KAUTH_SCOPE_FILEOP "com.apple.kauth.fileop"
#define KAUTH_FILEOP_OPEN 1
#define KAUTH_FILEOP_CLOSE 2
#define KAUTH_FILEOP_RENAME 3
#define KAUTH_FILEOP_EXCHANGE 4
#define KAUTH_FILEOP_LINK 5
#define KAUTH_FILEOP_EXEC 6
#define KAUTH_FILEOP_DELETE 7
#define KAUTH_FILEOP_CLOSE_MODIFIED (1 << 1)

extern kauth_listener_t kauth_listen_scope(const char *scope,
					   kauth_scope_callback_t callback,
					   void *data);
/* Does not wait for callbacks that run or are about to run. */
extern void kauth_unlisten_scope(kauth_listener_t listener);

extern uid_t kauth_getuid(void);
/* The calling thread's credential, without a reference. */
extern kauth_cred_t kauth_cred_get(void);
extern uid_t kauth_cred_getuid(kauth_cred_t credential);
extern uid_t kauth_cred_getruid(kauth_cred_t credential);
extern uid_t kauth_cred_getsvuid(kauth_cred_t credential);
extern gid_t kauth_cred_getgid(kauth_cred_t credential);
extern gid_t kauth_cred_getrgid(kauth_cred_t credential);
extern gid_t kauth_cred_getsvgid(kauth_cred_t credential);

#endif
