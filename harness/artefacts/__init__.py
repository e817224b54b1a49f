# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Make the things that a guest needs to run: images, kernels, initial RAM disks, modules."""
