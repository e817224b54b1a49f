# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The parts that all tasks share: their declaration, their context, their common options.

Nothing heavy is imported here or at the top of another module of this package: a task imports what
it uses when it runs, so that `--list` and `--help` answer at once. A test checks that.
"""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from harness import hints
from harness.errors import UsageError
from harness.model import build_folder
from harness.tasks.execution import execute

if TYPE_CHECKING:
    from harness.model.environment import Environment
    from harness.model.settings import Settings
    from harness.report.live_view import LiveView

RUN_HELP = {
    "k": "run only tests that match this pytest expression",
    "test": "run only this test, or those of this file, folder or suite (may be repeated)",
    "list": "list the tests that would run, and start no guest",
    "command": "run this in the guest instead of tests; exit code 0 passes (also after --)",
    "target": "target of [tool.harness.targets] to test on (default: default_target)",
    "kernel": "kernel of [tool.harness.kernels] to use instead of the target's own",
    "build": "run make first in the kernel's tree, which the configuration names",
    "cpus": "number of the guest's processors, instead of the target's vcpus",
    "memory": "the guest's memory in MiB, instead of the target's memory_mib",
    "append": "words to add to the kernel's command line",
    "accel": "kvm or tcg; without it KVM is used where it truly works",
    "uri": "libvirt URI to use as it is, instead of a private daemon",
    "fresh": "boot the guest instead of restoring it",
    "keep": "leave the guest up at the end and print how to reach it",
    "share": "host folder that the guest mounts read-only at /mnt/share",
    "writable": "let the guest write to --share; both sides see changes at once (needs 9p)",
    "watch": "run again whenever a file of the project is saved, until Ctrl-C",
    "last-failed": "run only the tests whose last result was bad; all when there are none",
    "repeat": "run so many times, each time in a guest of its own (default 1)",
    "until-fail": "stop --repeat at the first run that does not pass",
    "long": "run tests in their long form",
    "crash-tests": "run the suites that crash the kernel on purpose, and only them",
    "maxcrash": "stop after so many crashes of one kind in a row (default 3; 0: never)",
    "no-vmcore": "keep no dump of a crashed guest's memory",
    "debug-on-crash": "hand the terminal to a debugger when the kernel dies; then go on",
    "debugger": "which one, for --debug-on-crash: lldb, gdb or auto",
    "record": "run this one test in a guest that QEMU records, to go back in it (no network)",
    "control": "repeat each undecided crash without the module: whose fault is it?",
    "run-id": "name of the run's folder (default: made from the time)",
    "verbose": "show every console line",
}
VARIANT_HELP = {"variant": "build this one of [tool.harness.module.variants] instead"}
SHARED_HELP = {
    "config": "configuration to use (default: the nearest one of this folder and those above)",
    "C": "act as if the command were called in this folder",
}
_SHARED = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in SHARED_HELP
]


class HarnessTask(Task[Any]):
    """A task of invoke that also accepts one option's value as a word without the option's name.

    Invoke's positional arguments cannot be optional, so `program` handles the word. `command` is
    the option that takes the words after `--`, "" for a task that takes none.
    """

    def __init__(
        self, body: Callable[..., None], *, word: str, command: str, **options: Any
    ) -> None:
        super().__init__(body, **options)
        self.word = word
        self.command = command


@dataclass(frozen=True, kw_only=True)
class TaskContext:
    """What a task gets at each call: the given options, and values that all tasks need.

    `given` are the options that are not at their defaults, by the names of their parameters.
    `config` is the value of --config.
    """

    config: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def settings(self) -> "Settings":
        """The settings of the project on which the task acts, read once."""
        from harness.host import config

        return config.load(Path(self.config)) if self.config else config.load_nearest(Path.cwd())

    @cached_property
    def environment(self) -> "Environment":
        """The settings that environment variables give: folders, CI, colours, make's variables."""
        from harness.host import config

        return config.environment()

    @property
    def runs(self) -> Path:
        """The folder that contains the folders of all runs of the project."""
        return build_folder.runs(self.settings.root)

    def view(self, *, verbose: bool = False) -> "LiveView":
        """Return an object that shows a run's progress: live on a terminal, else as plain lines.

        In CI and with `verbose` it shows plain lines on a terminal, too.
        """
        from harness.report import live_view

        # A live view shows only the last line of the console, and --verbose asks for all of them.
        # A log of CI would keep each of its pictures.
        plain = self.environment.ci or verbose or not sys.stdout.isatty()
        if plain:
            return live_view.PlainView(verbose=verbose)
        return live_view.RichView(color=self.environment.color)


def help_for(*names: str) -> dict[str, str]:
    """Return the help texts of options of kernel-test, by name, for a task that has them, too."""
    return {name: RUN_HELP[name] for name in names}


def task(  # noqa: PLR0913 - one parameter a property of a task
    *,
    name: str = "",
    aliases: Iterable[str] = (),
    positional: Iterable[str] | None = None,
    word: str = "",
    command: str = "",
    iterable: Iterable[str] = (),
    options_help: Mapping[str, str] | None = None,
    short_flags: bool = False,
) -> Callable[[Callable[..., int]], HarnessTask]:
    """Declare a function as a task that returns its exit code.

    The function has a TaskContext as its first parameter, then one parameter for each option.
    Every task also has the options of `SHARED_HELP`, which are in its context. Errors are printed
    as sentences and end in exit codes. `word` is the option whose value may also be given without
    the option's name; when it is iterable, it takes several words. `command` is the option whose
    value may also be given after `--`.
    """

    def declare(function: Callable[..., int]) -> HarnessTask:
        return HarnessTask(
            _body(function),
            word=word,
            command=command,
            name=name or None,
            aliases=tuple(aliases),
            positional=positional,
            iterable=iterable,
            help={**(options_help or {}), **SHARED_HELP},
            auto_shortflags=short_flags,
        )

    return declare


def _body(function: Callable[..., int]) -> Callable[..., None]:
    """Return a function that runs a task's function for invoke and ends with its exit code.

    The function has the options that all tasks have, and prints errors as sentences.
    """
    parameters = list(inspect.signature(function).parameters.values())
    defaults = {one.name: one.default for one in parameters[1:]}

    @functools.wraps(function)
    def body(_context: Context, *, config: str | None = None, **options: Any) -> None:
        folder = options.pop("C", None)
        # invoke passes [] for a list that is not given, and the default is None, so all empty
        # values are alike.
        given = {
            name: value
            for name, value in options.items()
            if value != defaults[name] and (value or defaults[name])
        }

        def call() -> int:
            _choose_project(config, folder)
            return function(TaskContext(config=config, given=given), **options)

        # invoke ignores what a task returns; only Exit sets the exit code.
        raise Exit(code=execute(call))

    body.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # as inspect reads it
        [*parameters, *_SHARED]
    )
    return body


def _choose_project(config: str | None, folder: str | None) -> None:
    """Change to the folder of option -C, and make hints repeat the options -C and --config.

    Raises: UsageError when the folder cannot be entered.
    """
    words = ["-C", folder] if folder is not None else []
    words += ["--config", config] if config is not None else []
    hints.remember_options(words)
    if folder is None:
        return
    try:
        os.chdir(folder)
    except OSError as error:
        raise UsageError(f"-C {folder}: {error.strerror}") from error
