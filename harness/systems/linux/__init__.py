# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Linux as the system under test: loading modules, set-up, and what it requires."""
