# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read modinfo of built modules, and derive the order in which they are loaded."""

import fnmatch
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BuildError
from harness.modules.recipe import plain

_DEADLINE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class ModInfo:
    """What modinfo prints about one module: its hard and soft dependencies, firmware and aliases.

    `aliases` are only those by which modules request each other; aliases of devices are left out.
    Shape: dependencies are names as the kernel writes them, with underscores.
    """

    file: Path
    depends: tuple[str, ...] = ()
    soft: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    vermagic: str = ""

    @property
    def name(self) -> str:
        """The module's name, taken from its file name."""
        return self.file.name.removesuffix(".ko")


def read(files: Sequence[Path]) -> tuple[ModInfo, ...]:
    """Run modinfo on built modules, and return what it prints about each.

    Raises: BuildError for a file that is not a module, and when modinfo is not installed or does
        not end in time.
    """
    if not files:
        return ()
    try:
        done = subprocess.run(
            ["modinfo", *map(str, files)],
            check=False,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=_DEADLINE_S,
            env={"PATH": f"{os.defpath}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"},
        )
    except FileNotFoundError as error:
        raise BuildError("modinfo is not installed", hint="apt-get install kmod") from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"modinfo did not end in {_DEADLINE_S:.0f} s") from error
    if done.returncode != 0:
        raise BuildError("modinfo cannot read a module", evidence=done.stderr.splitlines()[-5:])
    return parse(done.stdout)


def parse(text: str) -> tuple[ModInfo, ...]:
    """Return the modules in an output of modinfo, which may be about several files."""
    blocks: list[dict[str, list[str]]] = []
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if key == "filename":
            blocks.append({})
        if colon and blocks:
            blocks[-1].setdefault(key, []).append(value.strip())
    return tuple(_info(block) for block in blocks)


def _info(block: Mapping[str, list[str]]) -> ModInfo:
    depends = ",".join(block.get("depends", ())).split(",")
    return ModInfo(
        file=Path(block["filename"][0]),
        depends=tuple(plain(name) for name in depends if name),
        soft=tuple(_before(block.get("softdep", ()))),
        firmware=tuple(block.get("firmware", ())),
        # An alias with a colon stands for a device, such as pci:v*; modules request the others.
        aliases=tuple(name for name in block.get("alias", ()) if ":" not in name),
        vermagic=(block.get("vermagic") or [""])[0],
    )


def _before(lines: Iterable[str]) -> Iterable[str]:
    """Yield the modules that a softdep names as loaded before: `a b` of 'pre: a b post: c'."""
    for line in lines:
        wanted = False
        for word in line.split():
            if word.endswith(":"):
                wanted = word == "pre:"
            elif wanted:
                yield plain(word)


def chosen(name: str, patterns: Sequence[str], known: Sequence[ModInfo]) -> tuple[ModInfo, ...]:
    """Return the built modules to load, in the order of loading.

    They are `name`, every module of `known` that matches a pattern, and their dependencies in
    `known`.
    """
    by_name = {plain(one.name): one for one in known}
    wishes = [
        one
        for pattern in (*patterns, name)
        for one in known
        if fnmatch.fnmatchcase(plain(one.name), plain(pattern))
    ]
    order: dict[str, ModInfo] = {}

    def add(one: ModInfo, above: tuple[str, ...]) -> None:
        key = plain(one.name)
        for need in (*one.soft, *one.depends):
            # Soft dependencies may lead in a circle.
            if need in by_name and need not in above and need not in order:
                add(by_name[need], (*above, key))
        order[key] = one

    for wish in wishes:
        if plain(wish.name) not in order:
            add(wish, (plain(wish.name),))
    return tuple(order.values())


def load_plan(order: Sequence[ModInfo], needs: Sequence[str] = ()) -> str:
    """Return the steps that load modules, one a line: 'modprobe NAME', 'try NAME', 'insmod NAME'.

    `order` are the built modules in the order of loading. Modules of the kernel itself come first:
    the required ones, then the optional ones. `needs` are required modules of the kernel that
    modinfo does not list.
    """
    ours = {plain(one.name) for one in order}
    hard = [*map(plain, needs), *(name for one in order for name in one.depends)]
    soft = [name for one in order for name in one.soft]
    steps = [f"modprobe {name}" for name in dict.fromkeys(hard) if name not in ours]
    steps += [f"try {name}" for name in dict.fromkeys(soft) if name not in {*ours, *hard}]
    steps += [f"insmod {one.name}" for one in order]
    return "".join(f"{step}\n" for step in steps)


def modprobe_conf(order: Sequence[ModInfo], folder: str) -> str:
    """Return the text of a modprobe.d file, so that a guest finds the built modules in `folder`.

    It is needed because some modules request others at run time, by a name or an alias
    (request_module).
    Source: modprobe.d(5), "install"; the command repeats the dependencies that modinfo lists.
    """
    lines = []
    for one in order:
        name = plain(one.name)
        lines += [f"alias {alias} {name}" for alias in one.aliases]
        needs = " ".join(dict.fromkeys((*one.soft, *one.depends)))
        before = f"for need in {needs}; do /sbin/modprobe $need; done; " if needs else ""
        file = f"{folder}/{one.name}"
        lines.append(f"install {name} {before}/sbin/insmod {file}.ko && : > {file}.in")
    return "".join(f"{line}\n" for line in lines)
