# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Make what a hint shows: commands that a person can paste unchanged, and known names.

Every hint that names a task uses this module, and a test parses all of them. `./dev` passes its
path in the environment, so that processes which a command starts print the same hints.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

PROGRAM = "MODLAB_PROGRAM"
OPTIONS = "MODLAB_OPTIONS"
_NAME = "modlab"
# The programs that run tasks, and the modules that do so (`python -m MODULE`), by the folder of
# __main__.py.
_PROGRAMS = (_NAME, "invoke", "inv")
_MODULES = {"tasks": "harness.tasks", "invoke": "invoke"}


def command(*words: str) -> str:
    """Return the command line that runs a task for the project of this process, for a hint.

    `words` are the task and its arguments. Each is quoted where a shell needs that.
    """
    options = os.environ.get(OPTIONS, "")
    return " ".join(part for part in (program(), options, shlex.join(words)) if part)


def program() -> str:
    """Return the command by which a person runs the harness's tasks, as this process was called.

    It is quoted for a shell.
    """
    named = os.environ.get(PROGRAM)
    return shlex.quote(named) if named else _called_as(sys.argv[0])


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return "; did you mean ...?" with the known words most similar to this one, or ""."""
    close = get_close_matches(word, known, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def remember_options(words: Sequence[str]) -> None:
    """Store the options of this call that choose the project, for the commands in later hints.

    They are stored in the environment, so that started processes print the same hints.
    """
    if words:
        os.environ[OPTIONS] = shlex.join(words)
    else:
        os.environ.pop(OPTIONS, None)


def _called_as(path: str) -> str:
    """Return the shortest command that runs tasks, given the `path` of the running program.

    The command is the program itself if it can run tasks: modlab, invoke, or `python -m` with the
    module of one of these. For any other program, it is the modlab beside this Python. It is the
    bare name modlab if the program's file does not exist.
    """
    file = Path(path)
    if file.name == "__main__.py" and file.parent.name in _MODULES:
        return shlex.join([sys.executable, "-m", _MODULES[file.parent.name]])
    if file.name not in _PROGRAMS:
        file = Path(sys.executable).with_name(_NAME)
    if not file.exists():
        return _NAME
    # The name alone is enough only where a shell finds this very program by it.
    found = shutil.which(file.name)
    if found is not None and Path(found).samefile(file):
        return file.name
    return shlex.quote(str(file))
