# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Artefacts that are made once: each is a folder of the cache, and may be shared between hosts."""
