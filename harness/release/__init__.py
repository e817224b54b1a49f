# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build the packages, archives and signatures of a release of the module under test."""
