# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The format of log lines for journald: each event is one line that begins with its priority."""

import logging
import sys

# syslog(3) numbers as <number>, which systemd removes from the line and stores as PRIORITY.
_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


class JournalFormatter(logging.Formatter):
    """Formats a log record for journald: <priority>text on one line, with escaped newlines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a log record as one line that begins with its priority."""
        text = super().format(record).replace("\n", "\\n")
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{text}"


def log_to_stderr(*, for_journal: bool, verbose: bool) -> None:
    """Send the program's log to standard error: INFO and above, with `verbose` also DEBUG.

    for_journal: begin each line with its priority, as journald expects it, not with a level's
    name.
    """
    handler = logging.StreamHandler(sys.stderr)
    form = "%(message)s"
    handler.setFormatter(
        JournalFormatter(form) if for_journal else logging.Formatter(f"%(levelname)s: {form}")
    )
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
