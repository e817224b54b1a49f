/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, bsd/sys/conf.h. */
#ifndef OSQ_KPI_CONF_H
#define OSQ_KPI_CONF_H

#include <sys/types.h>

struct tty;
struct uio;
struct buf;

typedef int open_close_fcn_t(dev_t device, int flags, int type,
			     struct proc *process);
typedef int ioctl_fcn_t(dev_t device, u_long command, caddr_t data, int flags,
			struct proc *process);
typedef int read_write_fcn_t(dev_t device, struct uio *uio, int flags);
typedef int stop_fcn_t(struct tty *tty, int rw);
typedef int reset_fcn_t(int uban);
typedef int select_fcn_t(dev_t device, int which, void *list,
			 struct proc *process);
typedef int mmap_fcn_t(void);
typedef void strategy_fcn_t(struct buf *buffer);
typedef int rsvd_fcn_t(void);

struct cdevsw {
	open_close_fcn_t *d_open;
	open_close_fcn_t *d_close;
	read_write_fcn_t *d_read;
	read_write_fcn_t *d_write;
	ioctl_fcn_t *d_ioctl;
	stop_fcn_t *d_stop;
	reset_fcn_t *d_reset;
	struct tty **d_ttys;
	select_fcn_t *d_select;
	mmap_fcn_t *d_mmap;
	strategy_fcn_t *d_strategy;
	rsvd_fcn_t *d_reserved_1;
	rsvd_fcn_t *d_reserved_2;
	int d_type;
};

extern int enodev(void);
extern void enodev_strat(void);

/* -1 chooses a slot; the slot is the result, -1 when there is none. */
extern int cdevsw_add(int slot, const struct cdevsw *devsw);
extern int cdevsw_remove(int slot, const struct cdevsw *devsw);

#endif
