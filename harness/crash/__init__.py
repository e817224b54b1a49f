# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Turn a dead guest into a Crash: collect the evidence, explain it, decide who is to blame."""
