# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What every command shares: options, the view, errors as messages, exit codes."""

import functools
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from invoke.exceptions import Exit

from harness.errors import HarnessError, UsageError
from harness.host import config
from harness.model.environment import Environment
from harness.model.request import KernelTestRequest, Selection, for_long_run
from harness.model.settings import Accel, Settings
from harness.report import live_view

ROOT = Path(__file__).resolve().parents[2]
RUN_HELP = {
    "k": "run only tests that match this pytest expression",
    "target": "target of [tool.harness.targets] to test on (default: default_target)",
    "kernel": "kernel of [tool.harness.kernels] to use instead of the target's own",
    "accel": "kvm or tcg; without it KVM is used where it truly works",
    "uri": "libvirt URI to use as it is, instead of a private daemon",
    "fresh": "boot the guest instead of restoring it",
    "keep": "leave the guest up at the end and print how to reach it",
    "share": "host folder that the guest mounts read-only at /mnt/share",
    "long": "run tests in their long form",
    "crash-tests": "run the suites that crash the kernel on purpose, and only them",
    "maxcrash": "stop after so many crashes of one kind in a row (default 3; 0: never)",
    "no-vmcore": "keep no dump of a crashed guest's memory",
    "debug-on-crash": "hand the terminal to a debugger when the kernel dies; then go on",
    "wait-crash": "the same as --debug-on-crash",
    "debugger": "which one, for --debug-on-crash: lldb, gdb or auto",
    "record": "run this one test in a guest that QEMU records, to go back in it (no network)",
    "control": "repeat each undecided crash without the module: whose fault is it?",
    "config": "pyproject.toml to go by (default: the nearest one with [tool.harness])",
    "run-id": "name of the run's folder (default: made from the time)",
    "verbose": "show every console line",
}
_ONE_STROKE_S = 1.0
VARIANT_HELP = {"variant": "build this one of [tool.harness.module.variants] instead"}


def help_for(*names: str) -> dict[str, str]:
    """Return the help texts of these options."""
    return {name: RUN_HELP[name] for name in names}


class Interrupt:
    """Raises KeyboardInterrupt for a signal, once for what a terminal or 'timeout' sends twice.

    A second one at the same moment would end the first one's way out, in the middle of a lock.
    """

    def __init__(self) -> None:
        self._last_s = -_ONE_STROKE_S

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        now = time.monotonic()
        if now - self._last_s >= _ONE_STROKE_S:
            self._last_s = now
            raise KeyboardInterrupt


def command(function: Callable[..., int]) -> Callable[..., None]:
    """Turn errors into a message with a hint, and the returned number into the exit code."""

    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> None:
        handler = Interrupt()
        for number in (signal.SIGTERM, signal.SIGINT):
            # A script that put the command into the background has set SIGINT aside.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, handler)
        try:
            code = function(*arguments, **options)
        except HarnessError as error:
            _print_error(error)
            code = error.exit_code
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            code = 130
        raise Exit(code=code)

    return wrapped


def _print_error(error: HarnessError) -> None:
    for line in error.evidence:
        print(f"  | {line}", file=sys.stderr)
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)


def view_for(*, verbose: bool) -> live_view.LiveView:
    """Return the live view for this terminal, or plain lines where there is none."""
    environment = config.environment()
    plain = environment.ci or verbose or not sys.stdout.isatty()
    return (
        live_view.PlainView(verbose=verbose)
        if plain
        else live_view.RichView(color=environment.color)
    )


def current_environment() -> Environment:
    """Return what the environment says of caches and folders."""
    return config.environment()


def load_settings(file: str | None) -> Settings:
    """Return the settings of a pyproject.toml, the nearest one without `file`."""
    return config.load(Path(file) if file else config.find_file(Path.cwd()))


def request_from(options: dict[str, Any]) -> KernelTestRequest:
    """Return the request that a command's options make.

    Raises: UsageError for a value that no run can go by.
    """
    accel = options.get("accel")
    if accel not in {None, "kvm", "tcg"}:
        raise UsageError(f"--accel {accel}: kvm or tcg is expected")
    share = options.get("share")
    if share is not None and not Path(share).is_dir():
        raise UsageError(f"--share {share}: no such folder")
    settings = load_settings(options.get("config"))
    is_long = bool(options.get("long"))
    return KernelTestRequest(
        settings=for_long_run(settings) if is_long else settings,
        environment=config.environment(),
        target_name=options.get("target"),
        kernel_name=options.get("kernel"),
        selection=Selection(
            expression=options.get("k") or "",
            long=is_long,
            groups=_groups(options),
        ),
        accel=Accel(accel) if accel else None,
        uri=options.get("uri"),
        fresh=bool(options.get("fresh")),
        keep=bool(options.get("keep")),
        share=Path(share).resolve() if share else None,
        run_id=options.get("run_id"),
        variant=options.get("variant"),
        most_crashes=int(options.get("maxcrash", 3)),
        vmcore=not options.get("no_vmcore"),
        control=bool(options.get("control")),
        debug_on_crash=options.get("debugger", "") if _waits(options) else "",
    )


def _waits(options: dict[str, Any]) -> bool:
    return bool(options.get("debug_on_crash") or options.get("wait_crash"))


def _groups(options: dict[str, Any]) -> tuple[str, ...]:
    """Return the groups of suites that are meant: those asked for, else the ordinary ones."""
    return ("crash",) if options.get("crash_tests") else ("",)
