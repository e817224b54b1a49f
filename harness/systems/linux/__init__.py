# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Linux as the system under test: modules, set-up and its rules."""
