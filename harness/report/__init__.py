# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The output of a run: reports, KTAP, KCIDB, history, the live view."""
