# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read the configuration and the environment into checked values.

No other module except `harness.hints` reads the process environment. A wrong key, type or path
ends in a ConfigError that names the file, the key and what was expected; nothing else checks them
again.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import TypeAdapter, ValidationError

from harness.errors import ConfigError
from harness.host import defaults, kunit, toml_file
from harness.model import nights, socket_paths
from harness.model.environment import KBUILD_VARIABLES, RUN_VARIABLE, Environment
from harness.model.machines import ImageChange, KernelSpec, TargetSpec, wrong_key
from harness.model.products import PackagesSpec
from harness.model.settings import Judge, Settings, TestSpec
from harness.model.wrong_values import wrong_value

_OWN_FILE = "modlab.toml"
_PREFIX = "tool.harness"
_ADAPTER = TypeAdapter(Settings)
_NO_KEY = "no such key; the documentation's page 'Configuration keys' lists them"


def environment(variables: Mapping[str, str] = os.environ) -> Environment:
    """Return the harness's settings that these environment variables give."""
    cache = variables.get("HARNESS_CACHE") or platformdirs.user_cache_dir("modlab")
    targets = variables.get("HARNESS_TARGETS") or (
        platformdirs.user_config_path("modlab") / "targets"
    )
    return Environment(
        cache=Path(cache).absolute(),
        runtime=_runtime(variables.get("XDG_RUNTIME_DIR") or ""),
        ci=variables.get("CI", "") not in {"", "0", "false"},
        color="NO_COLOR" not in variables,
        kbuild={name: variables[name] for name in KBUILD_VARIABLES if variables.get(name)},
        run=Path(variables[RUN_VARIABLE]) if variables.get(RUN_VARIABLE) else None,
        skip_kernel=variables.get("SKIP_KERNEL", "") not in {"", "0", "false"},
        targets=Path(targets).absolute(),
    )


def _runtime(own: str) -> Path:
    """Return the folder for a user's guests and their sockets: in the folder `own`, or in /tmp.

    `own` is XDG_RUNTIME_DIR. /tmp is used without it, or when a socket's path would be too long.
    """
    name = f"modlab-{os.getuid()}"
    wanted = Path(own) / name
    if own and socket_paths.has_room(wanted / socket_paths.LONGEST_RUN_ID):
        return wanted
    return Path("/tmp") / name  # noqa: S108


def child_environment(session_file: Path) -> dict[str, str]:
    """Return the environment for a pytest process that shares the guest of a run.

    It is this process's own environment, the variable that names the session file, by which pytest
    finds the guest, and PYTHONUNBUFFERED.
    """
    return {**os.environ, RUN_VARIABLE: str(session_file), "PYTHONUNBUFFERED": "1"}


def load_nearest(start: Path) -> Settings:
    """Return the settings of the nearest configuration: a modlab.toml or a pyproject.toml.

    The search goes from `start` upwards. A pyproject.toml without [tool.harness] is ignored. If
    nothing is found, and `start` contains a module and no pyproject.toml, the settings come from
    the module's own files.
    Raises: ConfigError when no folder has a configuration, and when one folder has two; also the
        errors of `load`.
    """
    for folder in (start, *start.parents):
        files = (folder / "pyproject.toml", folder / _OWN_FILE)
        tables = {file: _table(file) for file in files if file.is_file()}
        found = {file: table for file, table in tables.items() if table is not None}
        if len(found) > 1:
            raise ConfigError(files[0], _PREFIX, f"{files[1]} is there, too; one is expected")
        for file, table in found.items():
            return _settings(file, table)
    if not (start / "pyproject.toml").is_file() and defaults.has_module(start):
        return load(start)
    raise ConfigError(
        start / "pyproject.toml",
        _PREFIX,
        f"neither this folder nor one above it has this table or a {_OWN_FILE}",
        hint="a folder with a module's Makefile, Kbuild or dkms.conf needs none; or write the "
        "table (docs/modules.md), or give --config FILE",
    )


def load(file: Path) -> Settings:
    """Return the settings of one configuration, with absolute paths and checked names.

    `file` may also be a folder; its settings then come from the module in it.
    Raises: ConfigError for a file that cannot be read, and for any wrong key, type, name or path.
    """
    if file.is_dir():
        return _settings(file, {})
    table = _table(file)
    if table is None:
        raise ConfigError(file, _PREFIX, "a table is expected")
    return _settings(file, table)


def _table(file: Path) -> dict[str, Any] | None:
    """Return the table of settings in a configuration file; None when the file has none.

    A modlab.toml has them at its top level, every other file in its table [tool.harness].
    Raises: ConfigError for a file that cannot be read, and for a tool.harness that is no table.
    """
    whole = toml_file.read(file)
    if file.name == _OWN_FILE:
        return whole
    tool = whole.get("tool", {})
    table = tool.get("harness") if isinstance(tool, dict) else tool
    if table is not None and not isinstance(table, dict):
        raise ConfigError(file, _PREFIX, "a table is expected")
    return table


def _settings(file: Path, table: dict[str, Any]) -> Settings:
    """Return the checked settings of a configuration's table, with default values added.

    `file` is the file that contains the table, or the folder of a module that has no such file.
    Raises: ConfigError for a wrong key, type, name or path.
    """
    file = file.absolute()
    root = file if file.is_dir() else file.parent
    _refuse_own_keys(file, table)
    table = nights.completed(defaults.completed(table, file, root), file)
    try:
        # In JSON's strict form a number in quotes is no number, but a list is still a tuple.
        text = json.dumps({**table, "root": "", "file": ""}, default=_of_no_type)
        settings = replace(_ADAPTER.validate_json(text, strict=True), root=root, file=file)
    except ValidationError as error:
        key, expected = _first_mistake(error)
        raise ConfigError(file, f"{_PREFIX}.{key}", expected) from error
    settings = _absolute(settings)
    _check_names(settings)
    if (wrong := wrong_value(settings)) is not None:
        raise ConfigError(file, f"{_PREFIX}.{wrong[0]}", wrong[1])
    _check_kernels(settings)
    _check_paths(settings)
    return replace(settings, tests=tuple(map(_with_command, settings.tests)))


def _refuse_own_keys(file: Path, table: Mapping[str, Any]) -> None:
    """Raise ConfigError for keys that only the harness sets; a user's value would be lost."""
    kext = table.get("kext")
    wrong = [key for key in ("root", "file") if key in table]
    wrong += ["kext.project"] if isinstance(kext, dict) and "project" in kext else []
    if wrong:
        raise ConfigError(file, f"{_PREFIX}.{wrong[0]}", _NO_KEY)


def _of_no_type(_value: object) -> list[None]:
    """Return a value that no key accepts, for a date or a time of TOML, which no key can have."""
    return [None]


def _first_mistake(error: ValidationError) -> tuple[str, str]:
    """Return the key of a wrong value, and what was expected of it.

    A missing key comes last: it may be missing because another one is wrong. An image is a name or
    a table; when it is a table, the mistake in the table counts.
    """
    found = [one for one in error.errors() if one["type"] != "dataclass_type"] or error.errors()
    in_tables = [one for one in found if "ImageChange" in one["loc"]]
    chosen = min(found, key=lambda one: one["type"] == "missing")
    if "image" in chosen["loc"] and in_tables:
        chosen = in_tables[0]
    parts = [str(part) for part in chosen["loc"]]
    if parts[:1] == ["targets"] and parts[2:3] == ["image"]:
        del parts[3:4]
    return ".".join(parts), _expectation(chosen["type"], chosen["msg"])


def _with_command(test: TestSpec) -> TestSpec:
    """Return a suite of tests, with the command that prints KUnit's results if it is of KUnit."""
    return replace(test, command=kunit.command(test.kunit)) if test.kunit else test


def choose_target(settings: Settings, name: str | None, kernel: str | None) -> TargetSpec:
    """Return the target with this name, or the default target when no name is given.

    A given `kernel` replaces the target's own.
    Raises: ConfigError for an unknown target or kernel; the error lists the known names.
    """
    chosen = name or settings.default_target
    if chosen not in settings.targets:
        raise _unknown(settings, f"targets.{chosen}", settings.targets)
    target = settings.targets[chosen]
    if kernel is None:
        return target
    if kernel not in settings.kernels:
        raise _unknown(settings, f"kernels.{kernel}", settings.kernels)
    return replace(target, kernel=kernel)


def _expectation(kind: str, message: str) -> str:
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        return _NO_KEY
    if kind == "missing":
        return "this key is required"
    return message[0].lower() + message[1:]


def _absolute(settings: Settings) -> Settings:
    root = settings.root
    module = settings.module
    push = tuple(replace(item, source=root / item.source) for item in module.push)
    tests = tuple(
        replace(
            test,
            pytest=root / test.pytest if test.pytest else None,
            kselftest=toml_file.located(root, test.kselftest) if test.kselftest else None,
            blktests=toml_file.located(root, test.blktests) if test.blktests else None,
        )
        for test in settings.tests
    )
    module = replace(
        module,
        source=toml_file.located(root, module.source),
        push=push,
        drgn=root / module.drgn if module.drgn else None,
        debugger=root / module.debugger if module.debugger else None,
        dkms=root / module.dkms if module.dkms else None,
        firmware={name: root / source for name, source in module.firmware.items()},
    )
    packages, kext = settings.packages, settings.kext
    if packages is not None:
        spec = root / packages.rpm if packages.rpm else None
        packages = replace(packages, debian=root / packages.debian, rpm=spec)
    if kext is not None:
        plist = root / kext.root / kext.plist
        kext = replace(kext, project=root, root=root / kext.root, plist=plist)
    own = root / settings.images / "kernels"
    return replace(
        settings,
        images=root / settings.images,
        kernels={name: _located(one, root, own) for name, one in settings.kernels.items()},
        targets={name: _with_setup(one, root) for name, one in settings.targets.items()},
        module=module,
        tests=tests,
        packages=packages,
        kext=kext,
    )


def _located(kernel: KernelSpec, root: Path, own: Path) -> KernelSpec:
    """Return a kernel's description with absolute paths; `own` has the project's fragments."""
    built = bool(kernel.source or kernel.fragments)
    return replace(
        kernel,
        fragments=defaults.fragments(kernel.fragments, own) if built else (),
        tree=toml_file.located(root, kernel.tree) if kernel.tree else None,
        files=tuple(toml_file.located(root, file) for file in kernel.files),
        image=toml_file.located(root, kernel.image) if kernel.image else None,
    )


def _with_setup(target: TargetSpec, root: Path) -> TargetSpec:
    """Return a target with the absolute path of its own set-up script, if it has one."""
    if not isinstance(target.image, ImageChange) or target.image.setup is None:
        return target
    setup = toml_file.located(root, target.image.setup)
    return replace(target, image=replace(target.image, setup=setup))


def _check_names(settings: Settings) -> None:
    if settings.default_target not in settings.targets:
        raise _unknown(settings, "default_target", settings.targets)
    for name, target in settings.targets.items():
        if target.kernel not in settings.kernels:
            raise _unknown(settings, f"targets.{name}.kernel", settings.kernels)
        if (wrong := wrong_key(target)) is not None:
            key, expected = wrong
            raise ConfigError(settings.file, f"tool.harness.targets.{name}.{key}", expected)
    configured: dict[str, Mapping[str, Any]] = {
        "targets": settings.targets,
        "kernels": settings.kernels,
        "builds": settings.builds,
    }
    nights.check(settings.nightly, settings.file, configured)


def _check_kernels(settings: Settings) -> None:
    for name, kernel in settings.kernels.items():
        packages = bool(kernel.package), bool(kernel.source), bool(kernel.files)
        given = (*packages, kernel.tree, kernel.image)
        key = f"tool.harness.kernels.{name}"
        if sum(one not in {None, False} for one in given) != 1:
            expected = "exactly one of package, source, tree, files and image is expected"
            raise ConfigError(settings.file, key, expected)
        if kernel.tree is not None and not toml_file.is_folder(kernel.tree):
            raise ConfigError(settings.file, f"{key}.tree", f"no such folder: {kernel.tree}")
        if kernel.build and kernel.tree is None:
            raise ConfigError(settings.file, f"{key}.build", "only a tree can be built")
        _check_fragments(settings.file, key, kernel)
        files = [("files", file) for file in kernel.files]
        for part, file in (*files, *([("image", kernel.image)] if kernel.image else [])):
            if not toml_file.is_file(file):
                raise ConfigError(settings.file, f"{key}.{part}", f"no such file: {file}")
            if part == "files" and file.suffix not in {".deb", ".rpm"}:
                raise ConfigError(settings.file, f"{key}.files", f"no .deb or .rpm: {file}")


def _check_fragments(file: Path, key: str, kernel: KernelSpec) -> None:
    if kernel.fragments and not kernel.source and (kernel.tree is None or kernel.build):
        expected = "they need source, or tree without build"
        raise ConfigError(file, f"{key}.fragments", expected)
    for fragment in kernel.fragments:
        if not toml_file.is_file(fragment):
            known = ", ".join(defaults.fragment_names(fragment.parent))
            expected = f"there is no {fragment}; known names are: {known}"
            raise ConfigError(file, f"{key}.fragments", expected)


def _check_paths(settings: Settings) -> None:
    module = settings.module
    if not toml_file.is_folder(module.source):
        key = "tool.harness.module.source"
        raise ConfigError(settings.file, key, f"no such folder: {module.source}")
    kbuild = module.source / module.kbuild
    by_kbuild = module.dkms is None and not module.make
    if by_kbuild and not any(toml_file.is_file(kbuild / name) for name in ("Kbuild", "Makefile")):
        raise ConfigError(
            settings.file,
            "tool.harness.module.kbuild",
            f"no Kbuild or Makefile in {kbuild}",
            hint="source is the folder that is copied, kbuild the one in it that has the Kbuild",
        )
    named = {f"firmware.{name}": file for name, file in module.firmware.items()}
    for name, file in (*named.items(), ("drgn", module.drgn), ("debugger", module.debugger)):
        if file is not None and not toml_file.is_file(file):
            key = f"tool.harness.module.{name}"
            raise ConfigError(settings.file, key, f"no such file: {file}")
    for name, target in settings.targets.items():
        setup = target.image.setup if isinstance(target.image, ImageChange) else None
        if setup is not None and not toml_file.is_file(setup):
            key = f"tool.harness.targets.{name}.image.setup"
            raise ConfigError(settings.file, key, f"no such file: {setup}")
    for test in settings.tests:
        _check_test(settings.file, test)
    if settings.packages is not None:
        _check_packages(settings, settings.packages)


def _check_packages(settings: Settings, packages: PackagesSpec) -> None:
    key = "tool.harness.packages"
    if not toml_file.is_file(packages.debian / "control"):
        raise ConfigError(settings.file, f"{key}.debian", f"no control file in {packages.debian}")
    if packages.rpm is not None and not toml_file.is_file(packages.rpm):
        raise ConfigError(settings.file, f"{key}.rpm", f"no such file: {packages.rpm}")
    for name in packages.kernels:
        if name not in settings.kernels:
            raise _unknown(settings, "packages.kernels", settings.kernels)


def _check_test(file: Path, test: TestSpec) -> None:
    key = f"tool.harness.tests ({test.name})"
    kinds = (test.pytest, test.command, test.kunit or None, test.kselftest, test.blktests)
    if sum(kind is not None for kind in kinds) != 1:
        expected = "exactly one of pytest, command, kunit, kselftest and blktests is expected"
        raise ConfigError(file, key, expected)
    for pattern in test.kunit:
        if not kunit.PATTERN.fullmatch(pattern):
            expected = f"no pattern of a KUnit suite's name: {pattern!r}"
            raise ConfigError(file, f"{key}.kunit", expected)
    if test.judge is not Judge.KTAP and test.command is None:
        raise ConfigError(file, f"{key}.judge", "only a command has a judge")
    if test.only and test.kselftest is None and test.blktests is None:
        raise ConfigError(file, f"{key}.only", "only kselftest and blktests have tests to name")
    if test.pytest is not None and not _exists(test.pytest):
        raise ConfigError(file, f"{key}.pytest", f"no such folder: {test.pytest}")
    for kind, folder in (("kselftest", test.kselftest), ("blktests", test.blktests)):
        if folder is not None and not toml_file.is_folder(folder):
            raise ConfigError(file, f"{key}.{kind}", f"no such folder: {folder}")
    if test.blktests is not None and not toml_file.is_file(test.blktests / "check"):
        expected = f"a checkout of blktests; {test.blktests} has no check"
        raise ConfigError(file, f"{key}.blktests", expected)


def _exists(path: Path) -> bool:
    return toml_file.is_file(path) or toml_file.is_folder(path)


def _unknown(settings: Settings, key: str, known: Mapping[str, object]) -> ConfigError:
    names = ", ".join(sorted(known)) or "none"
    return ConfigError(settings.file, f"tool.harness.{key}", f"known names are: {names}")
