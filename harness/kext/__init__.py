# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tools for macOS kexts that run on Linux: bundle writer, loader check, emulator."""
