/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Locks are opaque and allocated; an attribute or group attribute may be
 * NULL. Source: xnu-11417.101.15, osfmk/kern/locks.h, lock_mtx.h, lock_group.h.
 */
#ifndef OSQ_KPI_LOCKS_H
#define OSQ_KPI_LOCKS_H

typedef struct _lck_grp_ lck_grp_t;
typedef struct _lck_grp_attr_ lck_grp_attr_t;
typedef struct _lck_attr_ lck_attr_t;
typedef struct _lck_spin_ lck_spin_t;
typedef struct _lck_mtx_ lck_mtx_t;

extern lck_grp_t *lck_grp_alloc_init(const char *name, lck_grp_attr_t *attr);
extern void lck_grp_free(lck_grp_t *group);

extern lck_spin_t *lck_spin_alloc_init(lck_grp_t *group, lck_attr_t *attr);
extern void lck_spin_lock(lck_spin_t *lock);
extern void lck_spin_unlock(lck_spin_t *lock);
extern void lck_spin_free(lck_spin_t *lock, lck_grp_t *group);

extern lck_mtx_t *lck_mtx_alloc_init(lck_grp_t *group, lck_attr_t *attr);
extern void lck_mtx_lock(lck_mtx_t *lock);
extern void lck_mtx_unlock(lck_mtx_t *lock);
extern void lck_mtx_free(lck_mtx_t *lock, lck_grp_t *group);

#endif
