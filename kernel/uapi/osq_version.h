/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The version of the release, for people: modinfo, --version and a bug report
 * show it. Driver and client do not compare it; OSQ_ABI_VERSION tells whether
 * they fit.
 */
#ifndef OSQ_VERSION_H
#define OSQ_VERSION_H

#define OSQ_VERSION "0.1.0"

#endif
