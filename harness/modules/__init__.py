# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find out how a kernel module is built from its own files: dkms.conf, Kbuild, Makefile."""
