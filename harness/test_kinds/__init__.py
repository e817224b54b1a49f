# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kinds of suites: pytest, a command, kselftest, blktests; and how to list their tests."""
