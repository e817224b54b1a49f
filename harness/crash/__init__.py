# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Explain why a guest crashed or hangs: collect the evidence, and decide whose fault it is."""
