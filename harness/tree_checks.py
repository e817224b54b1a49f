# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Checks on the files of the tree: licences, traces of one machine, sizes.

Each yields one line for what it objects to, and nothing for a good tree.
"""

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

# What the style guide allows, and who is allowed more, with the reason.
FILE_LINES = 400
FUNCTION_LINES = 40
LONGER_FILES: dict[str, str] = {
    "kernel/uapi/osq.h": "one protocol, one header, one struct a kind of record",
}
LONGER_FUNCTIONS: dict[str, str] = {
    "harness/tasks/workflow.py:run_kernel_test": "one parameter a command line option",
    "harness/domain_xml.py:render": "one element after the other, in libvirt's order",
}
_TEXT = {".c", ".h", ".py", ".sh", ".toml", ".yml", ".yaml", ".md", ".cfg", ""}
_NEEDS_SPDX = {".c", ".h", ".py", ".sh", ".toml", ".yml", ".yaml"}
_HOME = re.compile(r"/home/(?!runner\b)\w+/[\w.-]|/Users/\w+/")
_REGISTRY = re.compile(r"https?://([\w.-]+)")
_C_FUNCTION = re.compile(r"^[A-Za-z_][\w\s*]*?\b(\w+)\([^;]*$")


def tracked(project: Path) -> tuple[Path, ...]:
    """Return the files that git tracks, and the new ones that it does not ignore."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    )
    names = sorted(set(done.stdout.split("\0")) - {""})
    return tuple(project / name for name in names if (project / name).is_file())


def spdx(project: Path) -> Iterator[str]:
    """Yield every source file whose first lines hold no licence."""
    for path in tracked(project):
        if path.suffix not in _NEEDS_SPDX and path.name not in {"Kbuild", "Makefile", "dev"}:
            continue
        head = path.read_text(errors="replace").splitlines()[:3]
        if not any("SPDX-License-Identifier: " in line for line in head):
            yield f"{path.relative_to(project)}: no SPDX-License-Identifier in its first 3 lines"


def host_paths(project: Path) -> Iterator[str]:
    """Yield every line that names a place of this machine, or a registry that it is set up for."""
    here = [f"{project}/", *_registries()]
    for path in tracked(project):
        name = path.relative_to(project).as_posix()
        if path.suffix not in _TEXT or name.startswith(("tests/unit/", "LICENSES/")):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if _HOME.search(line) or any(word in line for word in here):
                yield f"{name}:{number}: a path or host of one machine: {line.strip()[:80]}"


def _registries() -> set[str]:
    """Return the hosts that this machine's apt fetches from."""
    places = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    texts = (place.read_text(errors="replace") for place in places if place.is_file())
    return {host for text in texts for host in _REGISTRY.findall(text)}


def size(project: Path) -> Iterator[str]:
    """Yield every file and function that is longer than the style guide allows."""
    for path in tracked(project):
        if path.suffix not in {".py", ".c", ".h"}:
            continue
        name = path.relative_to(project).as_posix()
        text = path.read_text(errors="replace")
        count = text.count("\n")
        if count > FILE_LINES and name not in LONGER_FILES:
            yield f"{name}: {count} lines, {FILE_LINES} are allowed"
        found = python_functions(text) if path.suffix == ".py" else c_functions(text)
        for function, lines in found:
            if lines > FUNCTION_LINES and f"{name}:{function}" not in LONGER_FUNCTIONS:
                yield f"{name}: {function} has {lines} lines, {FUNCTION_LINES} are allowed"


def python_functions(text: str) -> Iterable[tuple[str, int]]:
    """Yield name and length of every function, its docstring not counted."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0]
        doc = first if ast.get_docstring(node) is not None else None
        doc_lines = (doc.end_lineno or doc.lineno) - doc.lineno + 1 if doc else 0
        yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1 - doc_lines


def c_functions(text: str) -> Iterable[tuple[str, int]]:
    """Yield name and length of every C function in kernel style: its brace alone on a line."""
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
