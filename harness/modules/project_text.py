# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Write the configuration that the task `init` makes: only values that differ from defaults."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.modules.recipe import Recipe

TABLE = "tool.harness"
_HEAD = "# Written by `init`. docs/modules.md has every key; what is left out has a default."


@dataclass(frozen=True, kw_only=True)
class Choice:
    """With which Debian packages and which kernel `init` found that the module builds.

    `needs` are the packages. `kernel` is the kernel's name, or "" for the default kernel.
    `package` is the kernel's package, or "" for a kernel that the settings already describe.
    """

    needs: tuple[str, ...] = ()
    kernel: str = ""
    package: str = ""

    @property
    def shown(self) -> str:
        """The kernel and the packages in words, for the user."""
        kernel = f"kernel {self.kernel}" if self.kernel else "the default kernel"
        return f"{kernel}, with {', '.join(self.needs)}" if self.needs else kernel


def render(recipe: Recipe, choice: Choice, *, source: str, tests: str, target: str) -> str:
    """Return the configuration `[tool.harness]` of a module's project as TOML.

    `recipe` says how the module is built. `source` and `tests` are folders relative to the
    project's root, and `target` is the target that gets the chosen kernel.
    """
    lines = [_HEAD, f"[{TABLE}.module]", *(f"# {_on_one_line(line)}." for line in recipe.because)]
    lines += _pairs(_module(recipe, choice, source))
    lines += ["", f"[[{TABLE}.tests]]", *_pairs({"name": "first", "pytest": tests})]
    if choice.package:
        lines += ["", f"[{TABLE}.kernels]"]
        lines += [f"{json.dumps(choice.kernel)} = {{ package = {json.dumps(choice.package)} }}"]
    if choice.kernel:
        lines += ["", f"[{TABLE}.targets.{target}]", *_pairs({"kernel": choice.kernel})]
    return "\n".join(lines) + "\n"


def _module(recipe: Recipe, choice: Choice, source: str) -> dict[str, object]:
    found: dict[str, object] = {"name": recipe.name}
    if source != ".":
        found["source"] = source
    if recipe.kbuild != ".":
        found["kbuild"] = recipe.kbuild
    if recipe.make:
        found["make"] = recipe.make
    if recipe.modules:
        found["modules"] = list(recipe.modules)
    if choice.needs:
        found["build_needs"] = list(choice.needs)
    return found


def _on_one_line(text: str) -> str:
    """Return a text with '?' for control characters, which a TOML comment cannot hold."""
    return "".join(one if one.isprintable() else "?" for one in text)


def _pairs(values: Mapping[str, object]) -> Iterator[str]:
    """Yield a TOML line KEY = VALUE for each value; JSON writes strings and lists as TOML does."""
    for key, value in values.items():
        yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
