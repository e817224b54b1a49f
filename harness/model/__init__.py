# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Values that pass between the parts of the harness. No input or output happens here."""
