# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run the nightly matrix of tests: plan a night, run its cells, store, judge and show results."""
