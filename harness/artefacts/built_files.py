# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find the modules that a build has made in any folder, and store them in the order of loading."""

import json
from collections.abc import Sequence
from pathlib import Path

from harness.artefacts.build_steps import Job
from harness.errors import BuildError
from harness.host import tool
from harness.model.loaded_module import ModuleFile
from harness.model.settings import PushSpec
from harness.modules import makefiles, modinfo
from harness.modules.modinfo import ModInfo
from harness.modules.recipe import plain

_STRIP_S = 120.0
# The folder in a guest into which modules are copied.
GUEST_FOLDER = "/run/harness"
_INSMOD = "insmod "


def clear(job: Job) -> None:
    """Delete an earlier build's modules, so that `collect` does not take them for new ones.

    Nothing is deleted in a kernel's tree, nor when kbuild alone builds just one module.
    """
    if not job.in_tree and (job.spec.modules or not job.by_kbuild):
        for file in job.source.rglob("*.ko"):
            file.unlink()


def collect(job: Job, folder: Path) -> None:
    """Copy the built modules that a guest loads into a folder, with a plan of loading them.

    The copies have no debug information. The folder also gets a configuration for modprobe, and
    the list of modules and firmware that `loaded` reads.
    Raises: BuildError when an expected module is missing; the error lists the modules that exist.
    """
    made = _made(job)
    names = [one.name for one in job.conf.modules] if job.conf else []
    for name in (job.spec.name, *names):
        if plain(name) not in made:
            raise _missing(job, name, made)
    order = modinfo.chosen(
        job.spec.name, (*names, *job.spec.modules), modinfo.read(tuple(made.values()))
    )
    for one in order:
        strip = [
            f"{job.variables.get('CROSS_COMPILE', '')}objcopy",
            "--strip-debug",
            str(one.file),
            str(folder / f"{one.name}.ko"),
        ]
        tool.run(strip, deadline_s=_STRIP_S, error=BuildError)
    plan = modinfo.load_plan(order, job.spec.needs)
    plan_file(folder, job.spec.name).write_text(plan)
    conf = modinfo.modprobe_conf(order, GUEST_FOLDER)
    plan_file(folder, job.spec.name).with_suffix(".conf").write_text(conf)
    wanted = [file for one in order for file in _firmware(job, one)]
    facts = {
        "files": {one.name: str(one.file.relative_to(job.source)) for one in order},
        "firmware": {target: str(source) for target, source in wanted},
    }
    _facts_file(folder, job.spec.name).write_text(json.dumps(facts, indent=1) + "\n")


def plan_file(folder: Path, name: str) -> Path:
    """Return the path of the file in a build's folder that lists the steps of loading a module."""
    return folder / f"{name}.load"


def loaded(job: Job, folder: Path) -> tuple[tuple[ModuleFile, ...], tuple[PushSpec, ...]]:
    """Return the stored modules in the order of loading, and the firmware to copy into the guest.

    Raises: OSError, ValueError, KeyError when `collect` has stored nothing there.
    """
    facts = json.loads(_facts_file(folder, job.spec.name).read_text())
    files = tuple(
        ModuleFile(name=name, stripped=folder / f"{name}.ko", debug=job.source / place)
        for name, place in facts["files"].items()
    )
    firmware = tuple(
        PushSpec(source=Path(source), target=target, mode=0o644)
        for target, source in facts["firmware"].items()
    )
    return files, firmware


def of_run(folder: Path, name: str) -> tuple[ModuleFile, ...]:
    """Return the paths of a run's stored module files in its folder, in the order of loading.

    They are those of the plan of loading; without a plan only the module `name`. The files
    themselves may be missing.
    """
    plan = plan_file(folder, name)
    steps = plan.read_text().splitlines() if plan.is_file() else [f"{_INSMOD}{name}"]
    names = [step.removeprefix(_INSMOD) for step in steps if step.startswith(_INSMOD)]
    return tuple(
        ModuleFile(name=one, stripped=folder / f"{one}.stripped.ko", debug=folder / f"{one}.ko")
        for one in names
    )


def _facts_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.made.json"


def _made(job: Job) -> dict[str, Path]:
    """Return the files of built modules by module name.

    When several files belong to one module name, the file at the place that dkms.conf or the
    configuration gives is returned, otherwise the one nearest to the top.
    """
    places = {plain(one.name): one.location for one in job.conf.modules} if job.conf else {}
    found: dict[str, Path] = {}
    # The deepest files come first, so that of several the one nearest to the top is kept.
    for file in sorted(job.source.rglob("*.ko"), key=lambda file: len(file.parts), reverse=True):
        found[plain(file.stem)] = file
    for name, other in tuple(found.items()):
        place = job.source / places.get(name, job.spec.kbuild)
        exact = (file for file in place.glob("*.ko") if plain(file.stem) == name)
        found[name] = next(exact, other)
    return found


def _missing(job: Job, name: str, made: dict[str, Path]) -> BuildError:
    listed = ", ".join(str(file.relative_to(job.source)) for file in made.values())
    if listed:
        hint = f"it made: {listed}; set name in [tool.harness.module] to the one that is meant"
    else:
        hint = _hint(job, name)
    return BuildError(f"make succeeded, but there is no {name}.ko", hint=hint)


def _firmware(job: Job, module: ModInfo) -> Sequence[tuple[str, Path]]:
    """Return the firmware files that are copied into the guest for a module.

    They are those of the configuration, and those which the module names and its source contains.
    Shape: pairs of the path in the guest and the file on this host.
    """
    given = dict(job.spec.firmware)
    for name in module.firmware:
        for place in (job.spec.source / "firmware" / name, job.spec.source / name):
            if name not in given and place.is_file():
                given[name] = place
    return [(f"/lib/firmware/{name}", source) for name, source in given.items()]


def _hint(job: Job, name: str) -> str:
    """Return advice for the error that a build made no file of an expected module."""
    file = makefiles.kbuild_file(job.source / job.spec.kbuild)
    switches = makefiles.switches(file) if file is not None else ()
    if file is None or not switches:
        return f"does obj-m in {job.spec.kbuild}/Kbuild say {name}.o?"
    return (
        f"{file.name} builds by {', '.join(switches)}, which this kernel may not set: "
        f'variables = {{ {switches[0]} = "m" }} in [tool.harness.module] sets it'
    )
