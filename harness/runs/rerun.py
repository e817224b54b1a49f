# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Repeat an earlier run with its target, kernel, tests and built modules, or what failed last.

A run's folder contains everything for this. If something no longer exists, such as a kernel that
the archive has replaced, that is reported before anything starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.artefacts import kernels
from harness.artefacts.requested import MODULES
from harness.errors import UsageError
from harness.model.listed import name_of
from harness.model.request import KernelTestRequest
from harness.model.settings import RunReport, TestSpec
from harness.report import history, run_folders, run_report
from harness.report.live_view import LiveView


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A request that repeats an earlier run, and how it differs from that run, one line each."""

    request: KernelTestRequest
    differences: tuple[str, ...]


def prepare(
    base: KernelTestRequest,
    run: str,
    *,
    crash: int,
    rebuild: bool,
    view: LiveView,
    test: str = "",
) -> Replay:
    """Return the request that repeats a run, or only one test, or the test of one of its crashes.

    `base` has settings, environment and options. `crash` is the crash's number, and `test` a
    test's name; with 0 and "" the whole run is repeated. A run of a command is always repeated
    whole. `rebuild` builds the module from the current tree instead of using the run's own.
    Raises: UsageError for an unknown run or crash, a crash between tests, or a kernel that is no
    longer available; Lost for a run without a report; KernelError.
    """
    folder = run_folders.find(base.runs, run)
    earlier = run_report.load(folder)
    known = earlier.provenance
    expression, tests = known.expression, known.tests
    if crash and not known.command:
        test = _test_of(earlier, crash)
    if test and not known.command:
        expression, tests = "", (_selection_of(earlier, test, base.settings.tests),)
    target, _, _ = earlier.target.partition(":")
    selection = replace(base.selection, expression=expression, tests=tests, groups=known.groups)
    asked = replace(
        base,
        target_name=target,
        kernel_name=known.kernel or None,
        selection=selection,
        command=known.command,
        machine=known.machine,
        modules=None if rebuild else folder / MODULES,
    )
    return Replay(
        request=asked, differences=tuple(_differences(earlier, asked, rebuild=rebuild, view=view))
    )


def only_failed(base: KernelTestRequest) -> KernelTestRequest:
    """Return the request, limited to the tests that failed when they last ran in such a run.

    Such a run has the request's target, kernel and groups of tests. If none failed, all tests are
    selected. If a test of a suite that is a command failed, the whole suite is selected, because
    its tests cannot be selected one by one.
    """
    settings = base.settings
    target = base.target_name or settings.default_target
    spec = settings.targets.get(target)
    kernel = base.kernel_name or (spec.kernel if spec else "")

    def fits(report: RunReport) -> bool:
        known = report.provenance
        same = report.target.partition(":")[0] == target and known.kernel == kernel
        return same and known.groups == base.selection.groups and not known.command

    suites = {spec.name: spec for spec in settings.tests}
    names = (
        name_of(one.name, suites[one.suite])
        for one in history.failing(base.runs, fits)
        if one.suite in suites
    )
    # A test may have been renamed or removed since it failed.
    selection = replace(base.selection, tests=tuple(dict.fromkeys(names)), if_there=True)
    return replace(base, selection=selection)


def _selection_of(earlier: RunReport, test: str, suites: Sequence[TestSpec]) -> str:
    """Return the name by which the command line selects a test of an earlier run.

    `suites` are the configured suites. For a test of a suite that is a command, this is the
    suite's name. For a test of a suite that is not configured, it is the test's own name.
    """
    of_result = {result.name: result.suite for result in earlier.results}
    spec = {spec.name: spec for spec in suites}.get(of_result.get(test, ""))
    return name_of(test, spec) if spec is not None else test


def _test_of(earlier: RunReport, number: int) -> str:
    """Return the name of the test during which an earlier run's crash with this number happened.

    Raises: UsageError for a crash that does not exist or that happened between tests.
    """
    for crash in earlier.crashes:
        if crash.number == number:
            if not crash.test:
                raise UsageError(f"crash {number} came between tests; replay the whole run")
            return crash.test
    numbers = ", ".join(str(crash.number) for crash in earlier.crashes) or "none"
    raise UsageError(f"run {earlier.run_id} has no crash {number}; it has: {numbers}")


def _differences(
    earlier: RunReport, asked: KernelTestRequest, *, rebuild: bool, view: LiveView
) -> list[str]:
    settings = asked.settings
    name = asked.kernel_name or ""
    if name not in settings.kernels:
        raise UsageError(f"the run's kernel {name or '?'} is no longer configured")
    cache, shared = asked.environment.cache, settings.shared_cache
    spec = settings.kernels[name]
    kernel = kernels.ensure(name, spec, root=cache, shared=shared, progress=view.note)
    release = earlier.provenance.kernel_release
    # The kernel refuses a module that was built for another release.
    if release != kernel.release and not rebuild:
        raise UsageError(
            f"the run had kernel {release}, and apt offers {kernel.release} now",
            hint="--rebuild builds the module for that one; it is then not the same run",
        )
    then, now = earlier.provenance.kernel_version, kernel.version
    differences = [f"kernel package {now}, then {then}"] if then != now else []
    if rebuild:
        differences.append("the module is built from the tree as it is now")
    return differences
