# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Runs of the harness under KVM, on a host that is itself emulated."""
