# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From a dead guest to a Crash: collect the evidence, explain it, name who is to blame."""
