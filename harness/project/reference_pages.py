# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Make reference pages from the code: configuration keys, variables, exit codes and tasks.

The functions turn values into Markdown. docs/site_hook.py passes the pages to mkdocs when the site
is built, so that no page can differ from the code.
"""

import dataclasses
import enum
import inspect
import re
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import OTHER_EXIT_CODES, HarnessError
from harness.model.environment import VARIABLES
from harness.model.machines import ImageSpec
from harness.model.settings import Settings

# The reader of the file sets this field, so it is not a configuration key.
_NO_KEY = "No key:"
_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean", Path: "path"}
_ATTRIBUTE = re.compile(r"^    (\w+): (.*)$")
_CONFIGURATION = (
    "The configuration is the table `[tool.harness]` of a project's pyproject.toml. An unknown "
    "key, a wrong type and a path that does not exist are errors with exit code 2. Paths are "
    "relative to the project unless a key says otherwise. This page is made from the dataclasses "
    "in `harness/model`."
)
_EXIT_CODES = (
    "Every task ends in one of these. An error prints the last lines of what was watched, then "
    "`error:` and, if there is something to do, `hint:`. This page is made from "
    "`harness/errors.py`."
)
_ENVIRONMENT = (
    "The harness reads these environment variables, and no others. Programs that it starts, such "
    "as a debugger or a compiler, read their own. This page is made from "
    "`harness/model/environment.py`."
)
_TASKS = (
    "Each task is run by `./dev TASK` in the checkout, and by `modlab TASK` where the wheel is "
    "installed, except the checks of this project itself. Every task also takes `--config FILE` "
    "and `-C DIR`. This "
    "page is made from the tasks themselves, as `./dev TASK --help` shows them."
)
_HOLES = {"tests": "", "kernels": ".NAME", "targets": ".NAME", "variants": ".KEY"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Key:
    """One configuration key: its name and description, its type and default in TOML's notation."""

    name: str
    type: str
    default: str
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskText:
    """One task as the command line shows it; each option has its spelling and its help text."""

    name: str
    aliases: tuple[str, ...]
    text: str
    options: tuple[tuple[str, str], ...]


def configuration() -> str:
    """Return the page with every key of [tool.harness] and of an image's file."""
    parts = [
        "# Configuration keys",
        _CONFIGURATION,
        *_tables("tool.harness", Settings),
        "## Images: NAME.toml in the folder `images`",
        *_body(ImageSpec),
    ]
    return "\n\n".join(parts) + "\n"


def _tables(path: str, spec: type) -> Iterator[str]:
    """Yield the Markdown of a configuration table, a headline and its keys, and of its subtables.

    `path` is the table's name in TOML, and `spec` is the dataclass into which it is read.
    """
    yield f"## `[{path}]`"
    yield from _body(spec)
    for name, hint in _hints(spec).items():
        inner = _dataclass_in(hint)
        if inner is None:
            continue
        below = f"{path}.{name}{_HOLES.get(name, '')}"
        is_array = typing.get_origin(hint) is tuple
        yield from _tables(f"[{below}]" if is_array else below, inner)


def _body(spec: type) -> Iterator[str]:
    text, keys = documented(spec)
    yield text
    rows = [f"| `{key.name}` | {key.type} | {key.default} | {key.text} |" for key in keys]
    yield "\n".join(("| key | type | default | meaning |", "|---|---|---|---|", *rows))


def documented(spec: type) -> tuple[str, tuple[Key, ...]]:
    """Return a configuration dataclass's summary, and a Key for each field that a user may set.

    Both are from its docstring. A field whose description says that it is no key is left out.
    Raises: ValueError for a field without a description, and for a description without a field.
    """
    text, _, rest = (inspect.getdoc(spec) or "").partition("\nAttributes:\n")
    texts = _attributes(rest)
    hints = _hints(spec)
    if set(texts) != set(hints):
        wrong = ", ".join(sorted(set(texts) ^ set(hints)))
        raise ValueError(f"{spec.__name__}: the docstring and the fields differ in: {wrong}")
    keys = tuple(
        Key(
            name=field.name,
            type=_type_name(hints[field.name]),
            default=_default(field),
            # Markdown would take <NAME> for HTML.
            text=texts[field.name].replace("<", "&lt;"),
        )
        for field in dataclasses.fields(spec)
        if _NO_KEY not in texts[field.name]
    )
    return " ".join(text.split()), keys


def _attributes(section: str) -> dict[str, str]:
    """Return the descriptions in a docstring's section 'Attributes', by the attribute's name."""
    texts: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        match = _ATTRIBUTE.match(line)
        if match:
            name = match.group(1)
            texts[name] = match.group(2)
        elif line.strip() and name:
            texts[name] += f" {line.strip()}"
    return texts


def _hints(spec: type) -> dict[str, Any]:
    hints = typing.get_type_hints(spec)
    return {field.name: hints[field.name] for field in dataclasses.fields(spec)}


def _dataclass_in(hint: Any) -> type | None:
    """Return the dataclass in a field's type hint, None for a hint without one.

    The hint may be the dataclass itself, or a tuple, a dict or an optional value of it.
    """
    candidates = (hint, *typing.get_args(hint))
    return next((one for one in candidates if dataclasses.is_dataclass(one)), None)  # type: ignore[return-value]


def _type_name(hint: Any) -> str:
    """Return the name of a key's type in TOML's terms."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return _type_name(next(one for one in arguments if one is not type(None)))
    if origin is tuple:
        return f"array of {_plural(_type_name(arguments[0]))}"
    if origin is typing.Literal:
        return " or ".join(f'`"{value}"`' for value in arguments)
    if origin is dict:
        return f"table of {_plural(_type_name(arguments[1]))}"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return " or ".join(f'`"{member.value}"`' for member in hint)
    return "table" if dataclasses.is_dataclass(hint) else _SCALARS[hint]


def _plural(name: str) -> str:
    head, _, rest = name.partition(" ")
    return f"{head}s {rest}".strip()


def _default(field: dataclasses.Field[Any]) -> str:
    """Return a default value as Markdown: in TOML's notation, or words where TOML has none.

    The words are "required" without a default, "none" for None, and "its defaults" for a table.
    """
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        value = field.default
    else:
        return "**required**"
    if dataclasses.is_dataclass(value):
        return "its defaults"
    if field.name == "mode":
        return f"`{value:#o}`"  # permission bits are read in octal
    return "none" if value is None else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, enum.Enum | Path | str):
        return f'"{value.value if isinstance(value, enum.Enum) else value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value)


def exit_codes() -> str:
    """Return the page with the exit codes, each with the errors that end in it.

    A code in which no error ends has a row with its meaning alone.
    """
    raised = [
        (error.exit_code, f"`{error.__name__}`", _first_line(error))
        for error in _errors(HarnessError)
    ]
    others = [(code, "-", text) for code, text in OTHER_EXIT_CODES.items()]
    rows = [
        f"| {code} | {name} | {text} |"
        for code, name, text in sorted((*raised, *others), key=lambda row: row[0])
    ]
    return "\n".join(
        (
            "# Exit codes",
            "",
            _EXIT_CODES,
            "",
            "| code | exception in Python | when |",
            "|---|---|---|",
            *rows,
            "",
        )
    )


def environment_variables() -> str:
    """Return the page with every environment variable that the harness reads."""
    rows = [f"| `{name}` | {text} |" for name, text in VARIABLES.items()]
    table = "\n".join(("| variable | meaning |", "|---|---|", *rows))
    return f"# Environment variables\n\n{_ENVIRONMENT}\n\n{table}\n"


def _errors(root: type[HarnessError]) -> Iterator[type[HarnessError]]:
    yield root
    for below in root.__subclasses__():
        yield from _errors(below)


def _first_line(error: type[HarnessError]) -> str:
    return (inspect.getdoc(error) or "").splitlines()[0]


def tasks(texts: Sequence[TaskText]) -> str:
    """Return the page with every task and its options; options of all tasks are listed once."""
    shared = set.intersection(*(set(task.options) for task in texts)) if len(texts) > 1 else set()
    parts = ["# Tasks", _TASKS]
    if shared:
        parts += ["Every task has these options:", _options(sorted(shared))]
    for task in sorted(texts, key=lambda one: one.name):
        names = ", ".join(f"`{name}`" for name in task.aliases)
        own = [option for option in task.options if option not in shared]
        parts += [f"## {task.name}", *([f"Also: {names}."] if names else []), task.text]
        parts += [_options(own)] if own else []
    return "\n\n".join(parts) + "\n"


def _options(options: Sequence[tuple[str, str]]) -> str:
    rows = [f"| `{option}` | {text} |" for option, text in options]
    return "\n".join(("| option | meaning |", "|---|---|", *rows))
