# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The paths of a night's files under build/nightly: its folder, and each cell's lock and logs."""

from pathlib import Path

from harness.model import build_folder
from harness.model.settings import Settings
from harness.nightly.values import Cell


def all_nights(settings: Settings) -> Path:
    """Return the folder build/nightly with the history file and a folder for each night."""
    return build_folder.within(settings.root, "nightly")


def of_night(settings: Settings, night_id: str) -> Path:
    """Return the folder build/nightly/NIGHT, which holds the files of one night."""
    return all_nights(settings) / night_id


def log(settings: Settings, night_id: str, cell: Cell, attempt: int, start: int = 1) -> Path:
    """Return the log file of a nightly cell's command; each start of an attempt has its own.

    Attempt 0 is the cell's first run of the night. `start` counts from 1 and grows when the
    command was killed and is started again.
    """
    again = f".start-{start}" if start > 1 else ""
    return of_night(settings, night_id) / f"{_name(cell, attempt)}{again}.log"


def worker_log(settings: Settings, night_id: str, cell: Cell, attempt: int) -> Path:
    """Return the file with the error output of the worker process of a nightly cell."""
    return of_night(settings, night_id) / f"{_name(cell, attempt)}.worker.log"


def lock(settings: Settings, night_id: str, cell: Cell, attempt: int) -> Path:
    """Return the file that a worker keeps locked while it runs an attempt at a nightly cell."""
    return of_night(settings, night_id) / "locks" / _name(cell, attempt)


def _name(cell: Cell, attempt: int) -> str:
    return cell.file_name + (f"+{attempt}" if attempt else "")
