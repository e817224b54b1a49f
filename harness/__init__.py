# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build, boot, load, test and explain out-of-tree kernel modules in throw-away guests.

`[tool.harness]` in a pyproject.toml names the driver. Only `project`, which checks and releases
this repository, and the tasks that run these checks know one by name. Each subpackage covers one
concern, and its __init__.py says which. Packages import in one direction only:
`[tool.importlinter]` in pyproject.toml lists them from `tasks` down to `errors`.
"""
