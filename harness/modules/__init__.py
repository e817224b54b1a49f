# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reading how a module is built from its own files: dkms.conf, Kbuild, Makefile."""
