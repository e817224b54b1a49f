# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read console logs from any source: mails, JSON, syslog, dmesg.

Find the kernel's lines in them.
"""
