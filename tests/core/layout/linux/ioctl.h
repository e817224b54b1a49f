/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ioctl.h - osq.h defines its ioctls by macros of it and uses none. */
