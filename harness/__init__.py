# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build, boot, load, test and explain out-of-tree kernel modules in throw-away guests.

Nothing in this package knows a driver by name: `[tool.harness]` in a pyproject.toml names it.
Each subpackage covers one concern, and its __init__.py says which. Packages import in one
direction only: `[tool.importlinter]` in pyproject.toml lists them from `tasks` down to `errors`.
"""
