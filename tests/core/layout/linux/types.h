/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* types.h - what osq.h needs of it, for a compiler that has no 32-bit libc. */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef long long __s64;
