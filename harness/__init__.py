# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build, boot, load, test and explain out-of-tree kernel modules in throw-away guests.

Nothing in this package knows a driver by name: `[tool.harness]` in a pyproject.toml tells it.
A module imports only from rows above its own; tests/unit/test_import_direction.py holds the rows.
"""
