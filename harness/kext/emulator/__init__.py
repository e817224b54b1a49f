# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run a kext's own machine code on Linux in Unicorn; Python models stand for XNU's functions.

Each model records the objects that it gives to the kext, and enforces the rules of the real
function: in which contexts a caller may sleep, and which objects the kext must release. A model
that misunderstands XNU makes these tests pass wrongly. So each model names the XNU file in which
its behaviour was read. Nothing here is verified on hardware.
"""
