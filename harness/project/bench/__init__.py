# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The benchmarks of this project: they compare, in one run, and give ratios with their spread."""
