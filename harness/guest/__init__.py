# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A virtual machine from its start to its end: libvirt, console, snapshot, session, health."""
