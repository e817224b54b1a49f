# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""macOS as the system under test: kexts, set-up and its rules."""
