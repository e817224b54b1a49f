# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a run leaves behind and shows: reports, KTAP, KCIDB, history, the live view."""
