# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a module's own files say of how it is built: dkms.conf, Kbuild, Makefile."""
