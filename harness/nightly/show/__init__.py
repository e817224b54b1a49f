# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Show the judged nights: HTML page, Markdown, chat message, GitHub's annotations, Atom feed."""
