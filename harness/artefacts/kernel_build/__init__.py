# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build kernels from source for guests, with fragments of configurations."""
