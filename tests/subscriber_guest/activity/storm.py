# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A storm of processes, which is checked by counts and sums over all of its rows."""

import os

from . import facts
from .children import PROCESSES, in_child
from .log import Log, Value

_CODES = 200


def storm(log: Log, processes: int) -> None:
    """Make this many processes as fast as possible, each with a pid and a code of its own."""
    pid = in_child(lambda: _blow(log, processes))
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"the storm ended with {status}")


def _blow(log: Log, processes: int) -> None:
    """Make the processes, and log what all of their rows must sum up to.

    Each row has a part in a sum of pids, and each end in a sum of products with its code.
    """
    codes: dict[int, int] = {}
    for number in range(processes):
        code = number % _CODES
        child = os.fork()
        if child == 0:
            os._exit(code)
        ended, status = os.waitpid(child, 0)
        codes[ended] = os.waitstatus_to_exitcode(status)
    own, began = os.getpid(), facts.start_of(os.getpid())
    totals: dict[str, Value] = {"rows": processes, "pids": sum(codes)}
    _expect(log, f"event_type = 'fork' AND pid = {own}", "child_pid", totals)
    totals |= {"products": sum(pid * code for pid, code in codes.items())}
    of_own = f"parent = {own} AND {facts.PARENT_START} = {began}"
    _expect(log, f"event_type = 'exit' AND signal = 0 AND {of_own}", "pid", totals)


def _expect(log: Log, where: str, column: str, totals: dict[str, Value]) -> None:
    """Log the sums of the rows that fulfil a condition: the table is one of a single row."""
    sums = f"count(*) AS rows, sum({column}) AS pids, sum({column} * exit_code) AS products"
    log.expect(f"(SELECT {sums} FROM {PROCESSES} WHERE {where})", {}, **totals)
