# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The files of a night: its folder, the lock and the log of each cell."""

from pathlib import Path

from harness.model import build_folder
from harness.model.settings import Settings
from harness.nightly.values import Cell


def all_nights(settings: Settings) -> Path:
    """Return the folder with the history, and with one folder for each night."""
    return build_folder.within(settings.root, "nightly")


def of_night(settings: Settings, night_id: str) -> Path:
    """Return the folder of one night."""
    return all_nights(settings) / night_id


def log(settings: Settings, night_id: str, cell: Cell, attempt: int, start: int = 1) -> Path:
    """Return the file with the output of a cell's command, when it is started for the Nth time."""
    again = f".start-{start}" if start > 1 else ""
    return of_night(settings, night_id) / f"{_name(cell, attempt)}{again}.log"


def worker_log(settings: Settings, night_id: str, cell: Cell, attempt: int) -> Path:
    """Return the file with what the worker of a cell says when it fails itself."""
    return of_night(settings, night_id) / f"{_name(cell, attempt)}.worker.log"


def lock(settings: Settings, night_id: str, cell: Cell, attempt: int) -> Path:
    """Return the file that is locked as long as a cell runs."""
    return of_night(settings, night_id) / "locks" / _name(cell, attempt)


def _name(cell: Cell, attempt: int) -> str:
    return cell.file_name + (f"+{attempt}" if attempt else "")
