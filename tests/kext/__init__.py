# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the kext: its build, the loader check, and its machine code under the emulator."""
