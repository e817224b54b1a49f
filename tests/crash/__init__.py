# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that crash the guest on purpose: `invoke kernel-test --crash-tests`."""
