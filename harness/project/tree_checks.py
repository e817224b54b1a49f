# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Check the files of the tree: paths of one machine, sizes, names that harness/ must not use.

Each check yields one line for each objection.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Lost
from harness.host import tool

# The limits of the style guide, and the exceptions with their reasons.
FILE_LINES = 400
FUNCTION_LINES = 40
FOLDER_MODULES = 20
LONGER_FILES: dict[str, str] = {
    "kernel/uapi/osq.h": "one protocol in one header, with one struct for each kind of record",
}
LONGER_FUNCTIONS: dict[str, str] = {
    "harness/tasks/workflow.py:run_kernel_test": "one parameter for each command line option",
    "harness/guest/domain_xml.py:render": "one element after the other, in libvirt's order",
}
_GIT_S = 60.0
_SHELL_S = 60.0
_TEXT = {".c", ".h", ".py", ".sh", ".toml", ".yml", ".yaml", ".md", ".cfg", ""}
# The home folder of CI's runner is the same on all runners, so it is no path of one machine.
_HOME = re.compile(r"/home/(?!runner\b)\w+/[\w.-]|/Users/\w+/")
_REGISTRY = re.compile(r"https?://([\w.-]+)")
# These modules may read the environment; the second one only reads how the command was called.
_READ_THE_ENVIRONMENT = ("harness/host/config.py", "harness/hints.py")
_KNOWS_THE_PROJECT = ("harness/project/", "harness/tasks/project.py")


@dataclass(frozen=True, kw_only=True)
class _Way:
    """One action that only some modules may implement, such as running a program.

    `modules` are those that may, and `instead` says what all others use.
    """

    modules: tuple[str, ...]
    instead: str


_REPLACES = "replaces a file"
_IN_PROJECT = re.compile(r"\b(?:root|project)$")
_ONE_WAY = {
    "runs a tool": _Way(
        modules=(
            "harness/host/tool.py",
            "harness/host/foreground.py",
            # These are below `host`, so they cannot import it; each of their calls has a deadline.
            "harness/modules/dkms.py",
            "harness/modules/modinfo.py",
            "harness/modules/namespace.py",
            "harness/artefacts/source_copy.py",  # a folder without git is copied as it is
        ),
        instead="use host.tool.run, which has a deadline and an error for a missing tool",
    ),
    "starts a process": _Way(
        modules=(
            "harness/host/tool.py",
            "harness/host/process.py",  # makes a check that hangs print where it hangs
            "harness/artefacts/long_command.py",  # shows the progress of a build
            "harness/symbols/addr2line.py",  # keeps addr2line running for many questions
            "harness/debugger/dap_relay.py",  # exchanges messages with an editor
            "harness/debugger/stub_process.py",  # guards a guest while a debugger holds it
            "harness/guest/libvirtd.py",  # lives as long as the guests
            "harness/guest/libvirtd_parent.py",  # runs as a script, without the harness
            "harness/nightly/run.py",  # keeps several cells running side by side
            "harness/record/qemu_process.py",  # lives as long as a recording
            "harness/runs/pytest_process.py",  # reports each test as it ends
        ),
        instead="use host.tool for what ends; list others, with a reason, in tree_checks",
    ),
    "locks a file": _Way(
        modules=("harness/host/file_lock.py",), instead="use host.file_lock, which has a deadline"
    ),
    _REPLACES: _Way(
        modules=("harness/host/whole_file.py",),
        instead="use host.whole_file, which leaves nothing behind when it fails",
    ),
    "reads TOML": _Way(
        modules=("harness/host/toml_file.py",),
        instead="use host.toml_file, which reports what is wrong with a file",
    ),
    "spells the folder of results": _Way(
        modules=("harness/model/build_folder.py",), instead="use model.build_folder"
    ),
    "spells the loopback address": _Way(
        # The protocols are a layer below the model, so they cannot import it.
        modules=("harness/model/settings.py", "harness/protocols/", "harness/project/"),
        instead="use model.settings.LOOPBACK",
    ),
}
_CALLS = {
    **dict.fromkeys(("subprocess.run", "subprocess.call", "subprocess.check_call"), "runs a tool"),
    **dict.fromkeys(("subprocess.check_output", "os.system", "os.popen"), "runs a tool"),
    "subprocess.Popen": "starts a process",
    "fcntl.flock": "locks a file",
    "fcntl.lockf": "locks a file",
    "os.replace": _REPLACES,
    "os.rename": _REPLACES,
    "tomllib.load": "reads TOML",
    "tomllib.loads": "reads TOML",
}
_DRIVER = re.compile(
    r"\bosq(?:uery)?(?:_|\b)|\bkernel/(?:core|os|uapi|client)\b|\btests/\w", re.IGNORECASE
)
# osq_lock() is a lock of Linux (include/linux/osq_lock.h), not a name of this driver.
_LOCK_OF_LINUX = re.compile(r"osq_\((?:lock|unlock)|\bosq_(?:lock|unlock|wait_next)\b")
_C_FUNCTION = re.compile(r"^[A-Za-z_][\w\s*]*?\b(\w+)\([^;]*$")


def tracked(project: Path) -> tuple[Path, ...]:
    """Return the files that git tracks, and new files that it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = tool.run(command, deadline_s=_GIT_S, error=Lost, cwd=project)
    names = sorted(set(listed.text.split("\0")) - {""})
    return tuple(project / name for name in names if (project / name).is_file())


def host_paths(project: Path) -> Iterator[str]:
    """Yield every line with a path of one machine, or with the host of its package registry.

    Such paths are those in anybody's home folder, and the path of this project. Only text files
    are read, and none in tests/unit and LICENSES.
    """
    here = [f"{project}/", *_registries()]
    for path in tracked(project):
        name = path.relative_to(project).as_posix()
        if path.suffix not in _TEXT or name.startswith(("tests/unit/", "LICENSES/")):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if _HOME.search(line) or any(word in line for word in here):
                yield f"{name}:{number}: a path or host of one machine: {line.strip()[:80]}"


def shell_syntax(project: Path) -> Iterator[str]:
    """Yield the syntax errors that sh reports in each tracked shell script."""
    for path in tracked(project):
        with path.open("rb") as file:
            if file.readline().strip() != b"#!/bin/sh":
                continue
        done = tool.run(
            ["sh", "-n", path.relative_to(project)],
            deadline_s=_SHELL_S,
            error=Lost,
            check=False,
            cwd=project,
        )
        yield from done.lines


def _registries() -> set[str]:
    """Return the hosts from which this machine's apt fetches packages."""
    places = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    texts = (place.read_text(errors="replace") for place in places if place.is_file())
    return {host for text in texts for host in _REGISTRY.findall(text)}


def size(project: Path) -> Iterator[str]:
    """Yield every file and function that is longer than the style guide allows.

    Those that LONGER_FILES and LONGER_FUNCTIONS name may be longer.
    """
    for path in tracked(project):
        if path.suffix not in {".py", ".c", ".h"}:
            continue
        name = path.relative_to(project).as_posix()
        text = path.read_text(errors="replace")
        count = text.count("\n")
        if count > FILE_LINES and name not in LONGER_FILES:
            yield f"{name}: {count} lines, {FILE_LINES} are allowed"
        functions = python_functions(text) if path.suffix == ".py" else c_functions(text)
        for function, lines in functions:
            if lines > FUNCTION_LINES and f"{name}:{function}" not in LONGER_FUNCTIONS:
                yield f"{name}: {function} has {lines} lines, {FUNCTION_LINES} are allowed"


def crowded_folders(project: Path) -> Iterator[str]:
    """Yield every folder of the harness with more modules than FOLDER_MODULES."""
    counts = Counter(path.parent for path in tracked(project) if path.suffix == ".py")
    for folder, count in sorted(counts.items()):
        name = folder.relative_to(project).as_posix()
        if name.split("/")[0] == "harness" and count > FOLDER_MODULES:
            yield f"{name}: {count} modules, {FOLDER_MODULES} are allowed"


def driver_names(project: Path) -> Iterator[str]:
    """Yield every line of the harness that names this project's own driver or its tests.

    The harness works for any module, and pyproject.toml names the module under test. Exceptions
    are harness/project, which checks this tree, and the tasks that run those checks.
    """
    for path in tracked(project):
        name = path.relative_to(project).as_posix()
        if not name.startswith("harness/") or name.startswith(_KNOWS_THE_PROJECT):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if _DRIVER.search(line) and not _LOCK_OF_LINUX.search(line):
                yield f"{name}:{number}: knows this project's driver: {line.strip()[:80]}"


def habits(project: Path) -> Iterator[str]:
    """Yield every module of the harness that prints, reads the environment or catches everything.

    Only tasks print, and only host.config and hints read the environment. A handler may catch
    everything only to raise it again. Code that runs inside a debugger writes to that
    debugger's output instead.
    """
    for path in tracked(project):
        name = path.relative_to(project).as_posix()
        if path.suffix == ".py" and name.startswith("harness/"):
            for habit in sorted(set(_bad_habits(name, ast.parse(path.read_text())))):
                yield f"{name}: {habit}"


def _bad_habits(name: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        text = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Call) else ""
        if text in {"os.environ", "os.getenv"} and name not in _READ_THE_ENVIRONMENT:
            yield "reads the environment"
        if text.startswith("print(") and not name.startswith("harness/tasks/"):
            yield "prints"
        if isinstance(node, ast.ExceptHandler) and not _passes_on(node):
            caught = ast.unparse(node.type) if node.type else "everything"
            if caught in {"everything", "Exception", "BaseException"}:
                yield f"catches {caught}"


def second_ways(project: Path) -> Iterator[str]:
    """Yield a message for each action that a module does itself, but another one provides.

    The actions are running a tool, starting a process, locking a file, replacing a file, reading
    TOML, and spelling the folder of results or the loopback address. `_ONE_WAY` lists for each one
    the modules that may do it.
    """
    for path in tracked(project):
        name = path.relative_to(project).as_posix()
        if path.suffix != ".py" or not name.startswith("harness/"):
            continue
        ways = set(_second_ways(ast.parse(path.read_text())))
        for what in sorted(ways):
            if not name.startswith(_ONE_WAY[what].modules):
                yield f"{name}: {what}; {_ONE_WAY[what].instead}"


def _second_ways(tree: ast.Module) -> Iterator[str]:
    """Yield the key in _ONE_WAY of each action that a module's code implements itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            text = ast.unparse(node.func)
            if text in _CALLS:
                yield _CALLS[text]
            # The replace of a str has two positional arguments, the one of a dataclass has
            # keywords.
            if text.endswith(".replace") and len(node.args) == 1 and not node.keywords:
                yield _REPLACES
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            left, right = ast.unparse(node.left), ast.unparse(node.right)
            if right == "'runs'" or (right == "'build'" and _IN_PROJECT.search(left)):
                yield "spells the folder of results"
        if isinstance(node, ast.Constant) and "127.0.0.1" in str(node.value):
            yield "spells the loopback address"


def _passes_on(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler ends by raising again what it caught."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def python_functions(text: str) -> Iterable[tuple[str, int]]:
    """Yield the name and length of every function; docstrings do not count."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0]
        doc = first if ast.get_docstring(node) is not None else None
        doc_lines = (doc.end_lineno or doc.lineno) - doc.lineno + 1 if doc else 0
        yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1 - doc_lines


def c_functions(text: str) -> Iterable[tuple[str, int]]:
    """Yield the name and length of every C function whose braces are on lines of their own."""
    name, begun = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        match = _C_FUNCTION.match(line)
        if match and not begun:
            name = match.group(1)
        elif line == "{" and name:
            begun = number
        elif line == "}" and begun:
            yield name, number - begun + 1
            name, begun = "", 0
