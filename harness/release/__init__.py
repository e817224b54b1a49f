# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Packages, archives and signatures of the module under test."""
