# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is made before a guest can run: images, kernels, initial RAM disks, modules."""
