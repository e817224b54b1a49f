# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of packages: built, checked, and installed in guests (`invoke packages-test`)."""
