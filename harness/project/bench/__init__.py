# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The benchmarks of the driver: the ring is measured beside its rivals in the same run.

Their results are ratios between the ring and a rival, each with its spread.
"""
