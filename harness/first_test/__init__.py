# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The test that `init` gives to a module whose project has no tests of its own yet."""
