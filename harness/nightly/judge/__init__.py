# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Judge a night against the nights before it: which tests fail newly, are fixed, flaky or slower.

Cells without a result and new kernel warnings are findings, too. No input or output.
"""
