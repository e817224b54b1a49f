# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Do things that the subscriber records, as root, and log what its tables must have of them.

python3 -m activity LOG FOLDER [--storm NUMBER] [--leave-out STEP ...]
"""

import argparse
import sys
from pathlib import Path

from . import files, identities, programs, sockets, spaces, storm
from .log import Log

STEPS = (*programs.STEPS, *identities.STEPS, *spaces.STEPS, *files.STEPS, *sockets.STEPS)


def main() -> None:
    """Run all steps; the first that fails ends the activity."""
    parser = argparse.ArgumentParser(prog="activity")
    parser.add_argument("log", type=Path)
    parser.add_argument("work", type=Path, help="an empty folder, or none yet")
    parser.add_argument("--storm", type=int, default=20_000)
    parser.add_argument("--leave-out", nargs="*", default=[])
    options = parser.parse_args()
    log = Log(options.log, work=options.work)
    log.watched.mkdir(parents=True, exist_ok=True)
    # Others than root pass through the folder to the programs in it.
    log.work.chmod(0o755)
    for step in STEPS:
        log.step = f"{step.__module__.rpartition('.')[2]}.{step.__name__}"
        if log.step not in options.leave_out:
            step(log)
    log.step = "storm"
    storm.storm(log, options.storm)
    sys.stdout.write(f"\n{len(STEPS) + 1 - len(options.leave_out)} steps\n")


main()
