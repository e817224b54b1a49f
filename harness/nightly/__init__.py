# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The nightly run: what it plans, runs, remembers, judges and shows."""
