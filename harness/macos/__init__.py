# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is known of macOS as a target: its tools' words, each release's rules."""
