# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The tasks of the command line, in one module for each subject. Only this package prints."""
