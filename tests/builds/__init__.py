# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Builds of the driver's objects against kernel headers that a test has changed."""
