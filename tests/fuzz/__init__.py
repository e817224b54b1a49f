# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Fuzzing of `panic-explain` with changed logs: 5 seconds in `check`, as long as FUZZ_S says."""
