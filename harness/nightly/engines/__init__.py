# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Adapters that let Buildbot or GitLab spread the cells of a night over several hosts."""
