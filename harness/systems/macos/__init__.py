# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""macOS as the system under test: loading kexts, set-up, and what it requires."""
