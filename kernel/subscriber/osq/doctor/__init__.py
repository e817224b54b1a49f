# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`osq doctor`: what this machine lacks before everything is recorded, and what to do about it.

`machine` is where the checks look, `findings` is what they say, `driver`, `place` and `beside` are
the checks, and `checkup` runs them all.
"""
