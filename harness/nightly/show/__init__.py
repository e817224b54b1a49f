# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Show the judged nights: an HTML page, Markdown, annotations of GitHub and an Atom feed."""
