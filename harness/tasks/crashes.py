# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tasks about crashes: explain one, open its dump, list those of all runs, repeat a run."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.tasks.common import TaskContext, help_for, task

if TYPE_CHECKING:
    from collections.abc import Sequence


@task(
    name="panic-explain",
    aliases=["explain"],
    positional=["file"],
    iterable=["module"],
    short_flags=True,
    options_help={
        "file": "console log, plain or .gz, .xz, .zst; .panic, .ips; a folder of them; - is stdin",
        "vmlinux": "the kernel's vmlinux with debug information, of the very build that ran",
        "module": "a module's .ko with debug information, a kext's .dSYM (may be repeated)",
        "debuginfod": "fetch symbols from DEBUGINFOD_URLS by the build ids in the log",
        "json": "print the reports as JSON",
        "format": "text, json, markdown (a bug report), junit or sarif",
    },
)
def explain(
    _context: TaskContext,
    file: str,
    vmlinux: str | None = None,
    module: list[str] | None = None,
    debuginfod: bool = False,
    json: bool = False,
    format: str = "text",  # noqa: A002 - the option's name
) -> int:
    """Explain every crash and hang in a console log: kind, function, line, task and cause.

    Exit code 3 when the log holds a crash or hang, 0 when it holds none, 2 when it cannot be
    read, 5 when words in it suggest a crash that is not understood. `panic-explain FILE...`
    takes several logs.
    """
    from harness.errors import UsageError
    from harness.tasks.explain import FORMATS, explain_all

    if format not in FORMATS or (json and format not in {"text", "json"}):
        raise UsageError(f"--format {format} does not apply", hint="one of " + ", ".join(FORMATS))
    return explain_all(
        [file],
        form="json" if json else format,
        vmlinux=Path(vmlinux) if vmlinux else None,
        modules=tuple(map(Path, module or ())),
        from_server=debuginfod,
    )


@task(
    name="explain-guest",
    aliases=["guest-explain"],
    word="run",
    options_help={
        "run": "which guest: the name of its run, or the end of it (default: the only one)"
    },
)
def explain_guest(context: TaskContext, run: str = "") -> int:
    """Explain a guest that was left up and has crashed, hangs, or has survived a kernel fault.

    The explanation is in build/runs/RUN/crashes/N. Exit code 3 for a crash or a hang, 1 for a
    fault that the guest survived, 0 for a guest that is well.
    """
    from harness.model.crash import Cause
    from harness.runs import explain_guest as guests

    with context.view() as view:
        crash = guests.explain(context.environment, run, view)
    if crash is None:
        print("the guest is well: its kernel beats and has reported nothing")
        return 0
    print(f"files: {crash.folder}")
    return 1 if crash.cause is Cause.REPORT else 3


@task(short_flags=True)
def panic_list(context: TaskContext) -> int:
    """List the crashes of all runs, equal ones once: how often, first, last, whose fault."""
    from harness.report import history

    folder = context.runs
    rows = history.rows(history.grouped(tuple(history.runs(folder))))
    print("\n".join(rows) if rows else f"no crash in {folder}")
    return 0


@task(
    positional=["run"],
    short_flags=True,
    options_help={
        "run": "which run: its name, the end of it, or its folder",
        "crash": "only the test of this crash of the run",
        "rebuild": "build the module from the tree instead of taking the run's own",
        **help_for("keep", "accel"),
    },
)
def replay(
    context: TaskContext,
    run: str,
    crash: int = 0,
    rebuild: bool = False,
    keep: bool = False,
    accel: str | None = None,
) -> int:
    """Repeat an earlier run with the same target, kernel, tests and module."""
    from harness.report import run_report
    from harness.runs import kernel_test
    from harness.runs import rerun as reruns
    from harness.tasks.requests import request_from

    base = request_from(context, {"keep": keep, "accel": accel})
    with context.view() as view:
        again = reruns.prepare(base, run, crash=crash, rebuild=rebuild, view=view)
        for line in again.differences:
            view.note(f"not as then: {line}")
        found = kernel_test.run(again.request, view)
    print("\n".join(run_report.summary_lines(found)))
    return found.verdict.exit_code


@task(
    short_flags=True,
    options_help={
        "signature": "of the crash, or the beginning of it (task panic-list)",
        "test": "a test that fails, by its name in a report, in place of a crash",
        "good": "a commit that does not have the crash, or passes the test",
        "bad": "a commit that has it (default: HEAD)",
    },
)
def bisect(
    context: TaskContext, good: str, signature: str = "", test: str = "", bad: str = "HEAD"
) -> int:
    """Find the commit that introduced a crash or the failure of a test; each step is one run.

    Each commit's module is built and tested by today's harness and tests; the tree stays as it is.
    """
    from harness.errors import UsageError
    from harness.report import history
    from harness.runs import bisect as commits
    from harness.runs import rerun as reruns
    from harness.tasks.requests import request_from

    if bool(signature) == bool(test):
        raise UsageError("bisect needs --signature or --test, and not both")
    base = request_from(context, {})
    with context.view() as view:
        if signature:
            seen = history.find(context.runs, signature)
            sought = commits.Sought(signature=seen.signature)
            run, crash = seen.last_run.run_id, seen.last.number
        else:
            sought = commits.Sought(test=test)
            run, crash = history.failed_run(context.runs, test).run_id, 0
        # The module that the run kept is of one commit, and each step builds that of another one.
        asked = reruns.prepare(base, run, crash=crash, test=test, rebuild=True, view=view)
        answer = commits.walk(
            asked.request,
            sought=sought,
            good=good,
            bad=bad,
            view=view,
            on_step=lambda step: view.note(f"{step.commit} is {step.word}: {step.why}"),
        )
    print(answer.text)
    return 0


@task(name="kernel-symbols", options_help=help_for("target", "kernel"))
def fetch_kernel_symbols(
    context: TaskContext, target: str | None = None, kernel: str | None = None
) -> int:
    """Fetch the vmlinux of a target's kernel into the cache, some 280 MB, and print its path.

    With it, the kernel's own frames have source lines, and a guest's memory can be read.
    """
    from harness.artefacts import kernel_symbols, kernels
    from harness.host import config

    settings, root = context.settings, context.environment.cache
    shared = settings.shared_cache
    name = config.choose_target(settings, target, kernel).kernel
    spec = settings.kernels[name]
    with context.view() as view:
        chosen = kernels.ensure(name, spec, root=root, shared=shared, progress=view.note)
        found = kernel_symbols.ensure(chosen, root=root, shared=shared, progress=view.note)
        print(found.vmlinux)
    return 0


@task(
    name="vmcore-open",
    positional=["run"],
    options_help={
        "run": "which run: its name, the end of it, or its folder",
        "crash": "which of its crashes (default: the first)",
        "command": "run this instead of a shell: Python, or a drgn command with its %",
        "crash-tool": "open crash(8) instead of drgn; --command is then one of its own",
    },
)
def open_vmcore(
    context: TaskContext, run: str, crash: int = 1, command: str = "", crash_tool: bool = False
) -> int:
    """Open drgn, or crash(8), on the memory dump of a run's crash, with all symbols loaded."""
    commands = (command,) if command else ()
    return open_dump(context, run, crash, commands=commands, crash_tool=crash_tool)


def open_dump(
    context: TaskContext,
    run: str,
    crash: int,
    *,
    commands: "Sequence[str]",
    crash_tool: bool = False,
) -> int:
    """Open drgn or crash(8) on the dump of a run's crash, and return its exit code."""
    from harness.memory import open_dump as dumps
    from harness.report import run_folders
    from harness.runs import provenance

    folder = run_folders.find(context.runs, run)
    known = provenance.of_run(folder)
    cache = context.environment.cache
    with dumps.unpack_dump(folder, crash, provenance=known, cache=cache) as dump:
        if crash_tool:
            return dumps.crash_tool(dump, command=next(iter(commands), ""))
        return dumps.drgn_shell(dump, plugin=context.settings.module.drgn, commands=commands)


@task(
    name="fault-test",
    command="command",
    options_help={
        **help_for("target", "kernel", "run-id", "verbose"),
        "command": "let this command's calls on the module's devices fail (also after --)",
    },
)
def fail_allocations(
    context: TaskContext,
    command: str = "",
    target: str | None = None,
    kernel: str | None = None,
    run_id: str | None = None,
    verbose: bool = False,
) -> int:
    """Load the module and open its devices, or run a COMMAND; fail each allocation once.

    With a COMMAND, its calls on the module's devices fail instead. The kernel must be able to let
    allocations fail: --kernel 6.1-kasan is. In each call of the kernel the first allocation
    fails, then the second, until none is left. The call must succeed or return ENOMEM or EFAULT,
    and the kernel must report nothing.
    """
    from harness.runs import kernel_test
    from harness.tasks.requests import request_from
    from harness.tasks.workflow import print_summary
    from harness.test_kinds import fault_suites

    options = {"target": target, "kernel": kernel, "run_id": run_id}
    asked = request_from(context, options)
    asked = replace(asked, settings=fault_suites.with_faults(asked.settings, command))
    with context.view(verbose=verbose) as view:
        found = kernel_test.run(asked, view)
    print_summary(context, found)
    return found.verdict.exit_code
