# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run a kext's own machine code on Linux, against models of XNU's functions.

Each model counts what it gives to the kext and enforces the rules of the real function: who may
sleep where, and what must be given back. A wrong belief about XNU passes these tests, too. So each
model names the XNU file in which its behaviour was read. Nothing here is verified on hardware.
"""
