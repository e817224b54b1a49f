# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The tasks of the command line, in one module for each subject. Only this package calls print().

The live view of a run (`report.live_view`) and code inside of a debugger write to the terminal,
too.
"""
