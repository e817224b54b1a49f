# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Targets that the user boots: what they must allow, how they are made ready, their power."""

import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from harness.debugger import on_target
from harness.errors import UsageError
from harness.kext import kexts
from harness.model import requirement
from harness.model.settings import System
from harness.runs import verify_mac
from harness.systems.local_shell import ThisHost
from harness.targets import power, target_file, workflow
from harness.targets.target_file import RemoteSpec
from harness.targets.workflow import Loading
from harness.tasks.common import command, current_environment, load_settings

TARGET_HELP = {
    "target": "target that you boot (invoke target-list)",
    "config": "pyproject.toml to go by (default: the nearest one with [tool.harness])",
}
REBOOT_HELP = {"reboot": "restart the target where that is needed, and wait for it"}


def found_target(name: str | None, config: str | None) -> RemoteSpec | None:
    """Return the target of a name, None when the harness boots it itself."""
    images, targets = load_settings(config).images, current_environment().targets
    found = target_file.find(name, images=images, targets=targets)
    return power.locate(found) if found is not None else None


def chosen_target(name: str, config: str | None) -> RemoteSpec:
    """Return the target of a name.

    Raises: UsageError with the known names.
    """
    found = found_target(name, config)
    if found is None:
        environment, images = current_environment(), load_settings(config).images
        known = ", ".join(target_file.names(images=images, targets=environment.targets)) or "none"
        raise UsageError(
            f"no target '{name}' that you boot; there are: {known}",
            hint=f"{environment.targets}/{name}.toml makes one: docs/macos.md",
        )
    return found


def loading(
    target: RemoteSpec, config: str | None, file: str, *, reboot: bool, say: Callable[[str], None]
) -> Loading:
    """Return what is to be loaded on a target: the given file, or the kext, built first.

    Raises: UsageError where there is nothing to load; BuildError.
    """
    settings = load_settings(config)
    kext = settings.kext if target.system is System.MACOS else None
    if not file and kext is None:
        raise UsageError(
            f"{target.name} runs a kernel of its own: --file names a module built for it",
            hint="invoke kernel-build KDIR=... builds one against its headers",
        )
    path = Path(file).absolute() if kext is None or file else kexts.ensure(kext, say)
    # What else is pushed into a guest of ours was built for that guest.
    spec = replace(settings.module, push=())
    return Loading(target=target, spec=spec, file=path, restart=reboot)


@task(help={"config": TARGET_HELP["config"]})
@command
def target_list(_c: Context, config: str | None = None) -> int:
    """List the targets that you boot yourself: name, type, system, address."""
    images, targets = load_settings(config).images, current_environment().targets
    for name in target_file.names(images=images, targets=targets):
        found = chosen_target(name, config)
        where = f"{found.user or '?'}@{found.host or '?'}:{found.port}"
        print(f"{name:16} {found.type.value:8} {found.system.value:6} {where}")
    return 0


@task(
    help=TARGET_HELP
    | {
        "apply": "do what can be done from here",
        "undo": "take back what --apply did",
        "signed": "the module is signed",
    },
)
@command
def kernel_deps(
    _c: Context,
    target: str = "",
    apply: bool = False,
    undo: bool = False,
    signed: bool = False,
    config: str | None = None,
) -> int:
    """Say what must be allowed before the module loads: on a target, without one on this host.

    Exit code 2: something is missing. It lowers a system's security, so nothing is done unasked.
    """
    if apply and undo:
        raise UsageError("--apply and --undo: one of them is expected")
    if not target:
        return _host_deps(apply=apply, undo=undo, signed=signed)
    spec = chosen_target(target, config)
    if apply or undo:
        (workflow.allow if apply else workflow.disallow)(spec, print)
        return 0
    return _show(workflow.requirements(spec))


def _host_deps(*, apply: bool, undo: bool, signed: bool) -> int:
    system = System.MACOS if platform.system() == "Darwin" else System.LINUX
    if apply or undo:
        for line in workflow.change_host(ThisHost(), system, undo=undo, signed=signed):
            print(line)
        return 0
    return _show(workflow.requirements_of(ThisHost(), system, signed=signed))


def _show(found: tuple[requirement.Requirement, ...]) -> int:
    for line in workflow.lines(found):
        print(line)
    return 0 if requirement.met(found) else 2


@task(
    positional=["target"],
    help=TARGET_HELP | REBOOT_HELP | {"undo": "take back what this task did"},
)
@command
def kernel_configure_target(
    _c: Context, target: str, undo: bool = False, reboot: bool = False, config: str | None = None
) -> int:
    """Make a target's kernel ready for a debugger: boot arguments, panic settings, the stub.

    A guest that the harness boots needs none of it; then this says so.
    """
    spec = found_target(target, config)
    if spec is None:
        settings = load_settings(config)
        for line in on_target.own_guest(settings, target):
            print(line)
        return 0
    workflow.configure(spec, print, undo=undo, restart=reboot)
    return 0


@task(
    positional=["target"],
    help=TARGET_HELP
    | {
        "on": "switch it on",
        "off": "switch it off, as pulling the plug does",
        "snapshot": "keep its state under this name",
        "revert": "bring back the state of this name",
    },
)
@command
def target_power(
    _c: Context,
    target: str,
    on: bool = False,
    off: bool = False,
    snapshot: str = "",
    revert: str = "",
    config: str | None = None,
) -> int:
    """Switch a guest of libvirt or VMware on or off, keep its state, bring it back."""
    spec = chosen_target(target, config)
    found = power.of(spec)
    if sum(map(bool, (on, off, snapshot, revert))) > 1:
        raise UsageError("one of --on, --off, --snapshot, --revert is expected")
    if on:
        found.start()
    elif off:
        found.stop()
    elif snapshot:
        found.snapshot(snapshot)
    elif revert:
        found.revert(revert)
    print(f"{target} is {'on' if found.is_on() else 'off'}")
    print("snapshots: " + (", ".join(found.snapshots()) or "none"))
    return 0


@task(
    positional=["target"],
    help=TARGET_HELP
    | REBOOT_HELP
    | {
        "file": "kext to verify (default: ours, built first)",
        "name": "who stands for the report",
        "output": "where the report goes (default: build/verified-on-mac.md)",
    },
)
@command
def verify_on_mac(
    _c: Context,
    target: str,
    file: str = "",
    name: str = "",
    output: str = "",
    reboot: bool = False,
    config: str | None = None,
) -> int:
    """Run the whole workflow on somebody's Mac and write a signed-off report.

    The report says line by line what this Mac has shown and what it has not.
    """
    spec = chosen_target(target, config)
    settings = load_settings(config)
    report = Path(output).absolute() if output else settings.root / "build" / "verified-on-mac.md"
    asked = verify_mac.Verification(
        loading=loading(spec, config, file, reboot=reboot, say=print),
        settings=settings,
        environment=current_environment(),
        name=name,
        report=report,
    )
    found = verify_mac.run(asked, print)
    print(f"report: {report}")
    return 0 if verify_mac.all_shown(found) else 1
