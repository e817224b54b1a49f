# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Log lines as journald reads them: one line each, its priority before it."""

import logging
import sys

# <number> of syslog(3), which systemd takes off the line and keeps as PRIORITY.
_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


class JournalFormatter(logging.Formatter):
    """A record as <priority>text, its newlines escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        text = super().format(record).replace("\n", "\\n")
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{text}"


def log_to_stderr(*, for_journal: bool, verbose: bool) -> None:
    """Send the log to standard error, for journald or for a person."""
    handler = logging.StreamHandler(sys.stderr)
    form = "%(message)s"
    handler.setFormatter(
        JournalFormatter(form) if for_journal else logging.Formatter(f"%(levelname)s: {form}")
    )
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
