# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The report of `osq report`: what happened in a window of time, as one HTML file.

`window` reads the times, `facts` asks the store, `tree` orders processes by who started whom,
`chart` draws completeness over time, `sections` and `page` write the file, `markup` escapes.
"""
