# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The first test of any module: what runs where a project has no tests of its own yet."""
