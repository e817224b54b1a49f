# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Work in a running Linux or macOS system through a shell, whoever booted the system."""
