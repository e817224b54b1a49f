# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run a kext's own x86_64 machine code on Linux, against modelled functions of XNU's.

Every model counts what it gives away and holds the kext to the rules of the real one: who may
sleep where, what has to be given back. A wrong belief about XNU passes here, too: each model says
which of XNU's files it was read in, and nothing of this is verified on hardware.
"""
