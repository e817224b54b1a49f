# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Schedulers of others that spread a night over several hosts; each runs the same commands."""
