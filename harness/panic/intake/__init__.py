# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find the kernel's lines in console logs from any source: mails, JSON, syslog, dmesg."""
