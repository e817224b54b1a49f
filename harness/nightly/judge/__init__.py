# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Judge a night against the nights before it: what is new, fixed, flaky, slower or lost. Pure."""
