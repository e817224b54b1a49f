# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The virtual machine during its life: libvirt, console, snapshot, session and health."""
