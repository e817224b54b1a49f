# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Check that a record and a filtered event still take the committed number of instructions.

valgrind counts them, so the number is the same on a busy machine and in an emulated one. Only the
project's own code is counted, since the C library chooses its copy by the processor. The numbers
are exact: who makes the ring slower has to say so here, and who makes it faster, too.
"""

import platform
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.errors import BuildError, Lost
from harness.host import programs, tool

# Of 1,000 repetitions, by processor. The compiler is named, since another one makes other code.
_COMPILER = "gcc-12"
_REPEATS = 1000
HELD = {
    "x86_64": {"put_records": 223019, "filter_events": 73016},
}
_HERE = "harness/project/bench/instructions.py"
_BUILD_S = 300.0
_COUNT_S = 300.0
_PROGRAM = "count_put"
# The file of the lines that follow, or of the next call; a name is written out once.
_NAMED = re.compile(r"(c?)ob=\((\d+)\)(?: (.*))?")


def instructions(project: Path) -> Iterator[str]:
    """Count the instructions of each function in HELD; yield an objection for each changed number.

    HELD has the numbers that were counted and committed before, by processor architecture. An
    architecture without numbers, a missing tool and a failed build are yielded as objections, too,
    and raise nothing.
    """
    held = HELD.get(platform.machine())
    if held is None:
        yield f"no numbers for {platform.machine()}: add them to {_HERE}"
        return
    with tempfile.TemporaryDirectory() as work:
        try:
            program = _built(project, Path(work))
            found = {name: counted(program, name) for name in held}
        except (BuildError, Lost) as error:
            yield from (error.message, error.hint, *error.evidence)
            return
    for name, number in found.items():
        if number != held[name]:
            yield (
                f"{name}: {number} instructions for {_REPEATS} calls, {held[name]} are held by "
                f"{_HERE}; make it faster, or change the number there and say why in the commit"
            )


def _built(project: Path, out: Path) -> Path:
    programs.find(_COMPILER, error=BuildError)
    bench = project / "tests" / "bench"
    command = ["make", "-s", "-C", str(bench), f"O={out}", f"CC={_COMPILER}", _PROGRAM]
    tool.run(command, deadline_s=_BUILD_S, error=BuildError)
    return out / _PROGRAM


def counted(program: Path, function: str) -> int:
    """Return how many instructions run between entry and exit of a function of a program.

    Instructions of shared libraries are not counted.
    Raises: Lost when valgrind is not installed or fails.
    """
    profile = program.with_name(f"{function}.profile")
    command = ["valgrind", "--tool=callgrind", f"--toggle-collect={function}"]
    command += [f"--callgrind-out-file={profile}", str(program)]
    tool.run(command, deadline_s=_COUNT_S, error=Lost)
    return own_cost(profile.read_text(), program)


def own_cost(profile: str, program: Path) -> int:
    """Return the sum of the costs in a profile that belong to the program's own file.

    Source: "Callgrind Format Specification" of valgrind's manual. A line of numbers after `calls=`
    has what the called function took, and that function's own lines have it again.
    """
    files: dict[str, str] = {}
    total = 0
    is_own = False
    is_call = False
    for line in profile.splitlines():
        if named := _NAMED.match(line):
            of_call, number, path = named.groups()
            files[number] = path or files[number]
            is_own = is_own if of_call else files[number] == str(program)
        elif line.startswith("calls="):
            is_call = True
        elif line[:1].isdigit() or line[:1] in {"+", "-", "*"}:
            if is_own and not is_call:
                total += int(line.split()[1])
            is_call = False
    return total
