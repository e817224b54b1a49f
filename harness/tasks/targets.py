# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tasks for targets that the user boots: requirements, set-up for debuggers, power."""

import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import hints
from harness.errors import UsageError
from harness.model import build_folder
from harness.tasks.common import TaskContext, task
from harness.tasks.options import Mode, check_options

if TYPE_CHECKING:
    from harness.model import requirement
    from harness.targets.target_file import RemoteSpec
    from harness.targets.workflow import Loading

TARGET_HELP = {"target": "target that you boot (task target-list)"}
REBOOT_HELP = {"reboot": "restart the target where that is needed, and wait for it"}
DEPS_OF_TARGET = Mode(
    when="to a target that you boot",
    takes="target apply undo",
    refuses={"the target's file says it: signed = true": "signed"},
)
CONFIGURE_GUEST = Mode(
    when="to a guest that the harness boots",
    takes="target",
    refuses={"nothing is changed in such a guest, so nothing is taken back": "undo reboot"},
)


def found_target(context: TaskContext, name: str | None) -> "RemoteSpec | None":
    """Return the target of this name that the user boots, None if no file describes one.

    Its address is included, if its machine can be asked for it.
    """
    from harness.targets import power, target_file

    images, targets = context.settings.images, context.environment.targets
    found = target_file.find(name, images=images, targets=targets)
    return power.locate(found) if found is not None else None


def chosen_target(context: TaskContext, name: str) -> "RemoteSpec":
    """Return the target of this name that the user boots.

    Raises: UsageError with the known names.
    """
    from harness.targets import target_file

    found = found_target(context, name)
    if found is None:
        environment, images = context.environment, context.settings.images
        known = ", ".join(target_file.names(images=images, targets=environment.targets)) or "none"
        raise UsageError(
            f"no target '{name}' that you boot; there are: {known}",
            hint=f"{environment.targets}/{name}.toml makes one: docs/macos.md",
        )
    return found


def loading(
    context: TaskContext,
    target: "RemoteSpec",
    file: str,
    *,
    reboot: bool,
    say: Callable[[str], None],
) -> "Loading":
    """Return the module to load on a target: the given file, or the kext, which is built first.

    Raises: UsageError when there is nothing to load; BuildError.
    """
    from harness.kext import kexts
    from harness.model.settings import System
    from harness.targets.workflow import Loading

    settings = context.settings
    kext = settings.kext if target.system is System.MACOS else None
    if not file and kext is None:
        raise UsageError(
            f"{target.name} runs a kernel of its own: --file names a module built for it",
            hint=f"KDIR=HEADERS {hints.command('kernel-build')} builds one against its headers",
        )
    path = Path(file).absolute() if kext is None or file else kexts.ensure(kext, say)
    # The configuration's `push` files are built for the harness's own guests, so they are left
    # out.
    spec = replace(settings.module, push=())
    return Loading(target=target, spec=spec, file=path, restart=reboot)


@task(short_flags=True)
def target_list(context: TaskContext) -> int:
    """List the targets that you boot yourself: name, type, system, address."""
    from harness.targets import target_file

    images, targets = context.settings.images, context.environment.targets
    for name in target_file.names(images=images, targets=targets):
        found = chosen_target(context, name)
        where = f"{found.user or '?'}@{found.host or '?'}:{found.port}"
        print(f"{name:16} {found.type.value:8} {found.system.value:6} {where}")
    return 0


@task(
    word="target",
    short_flags=True,
    options_help=TARGET_HELP
    | {
        "apply": "do what can be done from here",
        "undo": "take back what --apply did",
        "signed": "the module is signed",
    },
)
def kernel_deps(
    context: TaskContext,
    target: str = "",
    apply: bool = False,
    undo: bool = False,
    signed: bool = False,
) -> int:
    """List what a target, or without one this host, must allow before the module loads.

    Exit code 2 when something is missing. A change lowers the system's security, so none is made
    without --apply.
    """
    from harness.targets import workflow

    if apply and undo:
        raise UsageError("--apply and --undo: one of them is expected")
    if not target:
        return _host_deps(apply=apply, undo=undo, signed=signed)
    check_options(DEPS_OF_TARGET, context.given)
    spec = chosen_target(context, target)
    if apply or undo:
        (workflow.allow if apply else workflow.disallow)(spec, print)
        return 0
    return _show(workflow.requirements(spec))


def _host_deps(*, apply: bool, undo: bool, signed: bool) -> int:
    from harness.model.settings import System
    from harness.systems.local_shell import ThisHost
    from harness.targets import workflow

    system = System.MACOS if platform.system() == "Darwin" else System.LINUX
    if apply or undo:
        for line in workflow.change_host(ThisHost(), system, undo=undo, signed=signed):
            print(line)
        return 0
    return _show(workflow.requirements_of(ThisHost(), system, signed=signed))


def _show(found: "tuple[requirement.Requirement, ...]") -> int:
    from harness.model import requirement
    from harness.targets import workflow

    for line in workflow.lines(found):
        print(line)
    return 0 if requirement.met(found) else 2


@task(
    positional=["target"],
    short_flags=True,
    options_help=TARGET_HELP | REBOOT_HELP | {"undo": "take back what this task did"},
)
def kernel_configure_target(
    context: TaskContext, target: str, undo: bool = False, reboot: bool = False
) -> int:
    """Make a target's kernel ready for a debugger: boot arguments, panic settings, the stub.

    A guest that the harness boots is not changed; its settings for debuggers are printed.
    """
    from harness.debugger import on_target
    from harness.targets import workflow

    spec = found_target(context, target)
    if spec is None:
        # An unknown name is reported before an option that does not apply to a guest.
        lines = on_target.own_guest(context.settings, target)
        check_options(CONFIGURE_GUEST, context.given)
        print("\n".join(lines))
        return 0
    workflow.configure(spec, print, undo=undo, restart=reboot)
    return 0


@task(
    positional=["target"],
    short_flags=True,
    options_help=TARGET_HELP
    | {
        "on": "switch it on",
        "off": "switch it off, as pulling the plug does",
        "snapshot": "keep its state under this name",
        "revert": "bring back the state of this name",
    },
)
def target_power(
    context: TaskContext,
    target: str,
    on: bool = False,
    off: bool = False,
    snapshot: str = "",
    revert: str = "",
) -> int:
    """Switch a libvirt or VMware guest on or off, save its state, or restore it.

    Afterwards, or without an option, print whether it is on, and its snapshots.
    """
    from harness.targets import power

    if sum(map(bool, (on, off, snapshot, revert))) > 1:
        raise UsageError("one of --on, --off, --snapshot, --revert is expected")
    found = power.of(chosen_target(context, target))
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
    short_flags=True,
    options_help=TARGET_HELP
    | REBOOT_HELP
    | {
        "file": "kext to verify (default: ours, built first)",
        "name": "who stands for the report",
        "output": "where the report goes (default: build/verified-on-mac.md)",
    },
)
def verify_on_mac(
    context: TaskContext,
    target: str,
    file: str = "",
    name: str = "",
    output: str = "",
    reboot: bool = False,
) -> int:
    """Try the whole workflow on a user's Mac, and write a report with the name of who ran it.

    The report says line by line what this Mac has shown and what it has not.
    """
    from harness.runs import verify_mac

    spec, settings = chosen_target(context, target), context.settings
    usual = build_folder.within(settings.root, "verified-on-mac.md")
    asked = verify_mac.Verification(
        loading=loading(context, spec, file, reboot=reboot, say=print),
        settings=settings,
        environment=context.environment,
        name=name,
        report=Path(output).absolute() if output else usual,
    )
    found = verify_mac.run(asked, print)
    print(f"report: {asked.report}")
    return 0 if verify_mac.all_shown(found) else 1


@task(
    positional=["bundle"],
    short_flags=True,
    options_help={
        "bundle": "a folder NAME.kext",
        "last": "the last macOS that it claims (default: 15)",
    },
)
def kext_check(_context: TaskContext, bundle: str, last: str | None = None) -> int:
    """Report what in BUNDLE the kernel's loader or the builder of collections would refuse.

    The file type, load commands, kmod_info, relocations and symbols are checked. Each symbol must
    be in a library that Info.plist names, in each macOS from the first that it claims up to
    --last. Exit code 1 for a refusal.
    """
    from harness.kext import check

    checked = check.check(Path(bundle), last=last)
    print("\n".join(check.lines(checked)))
    return 0 if checked.passed else 1
