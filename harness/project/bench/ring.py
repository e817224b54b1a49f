# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Measure the ring and its rivals in one run, and write figures and plot.

The measuring program is C (tests/bench). It is compiled with the rivals that this machine has; the
results name those that are missing.
"""

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import Lost
from harness.host import process, tool, whole_file
from harness.model import build_folder
from harness.project.bench import contention, figures, plot, rivals

FORMS = ("short", "full", "smoke")
_BUILD_S = 300.0
_RUN_S = 1800.0
# LTTng's daemons of root have one fixed place on a machine, so root measures as another user.
_NOBODY = 65534
_AS_NOBODY = (
    "setpriv",
    f"--reuid={_NOBODY}",
    f"--regid={_NOBODY}",
    "--clear-groups",
)


@dataclass(frozen=True, kw_only=True)
class Results:
    """The figures of a run of bench-ring, the machine that it ran on, and the figures' files.

    `missing` has the rivals that this machine could not measure, each with the reason.
    """

    measured: figures.Measured
    goals: tuple[figures.Goal, ...]
    limits: tuple[contention.Limit, ...]
    machine: dict[str, str]
    missing: dict[str, str]
    figures_file: Path
    plot_file: Path


def run(*, project: Path, form: str, cache: Path, progress: Callable[[str], None]) -> Results:
    """Measure all engines, write the figures as JSON and SVG, and return them.

    `form` is a name in FORMS, which decides how much is measured.
    Raises: Lost when the program does not compile, or fails.
    """
    found = rivals.ensure(root=cache, progress=progress)
    progress("compiling")
    program = _built(project, found)
    progress(f"measuring, {form} form; an idle machine gives narrow intervals")
    busy_before = os.getloadavg()[0]
    lines = _measured(project, program, form, with_lttng=found.lttng)
    measured = figures.parse(lines)
    limits = contention.limits(measured.sections) if measured.sections else ()
    machine = _machine() | {
        "load before and after": f"{busy_before:.1f}, {os.getloadavg()[0]:.1f}"
    }
    folder = build_folder.within(project, "bench")
    results = Results(
        measured=measured,
        goals=figures.goals(measured, limits),
        limits=limits,
        machine=machine,
        missing=found.missing,
        figures_file=folder / "ring.json",
        plot_file=folder / "ring.svg",
    )
    whole_file.write(results.figures_file, json.dumps(_as_json(results, form), indent=1) + "\n")
    whole_file.write(results.plot_file, plot.svg(measured))
    return results


def _built(project: Path, found: rivals.Rivals) -> Path:
    out = build_folder.within(project, "bench")
    # Another choice of rivals is another program, so nothing is left of the last one.
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = ["make", "-s", "-C", str(project / "tests" / "bench"), f"O={out}", "bench_ring"]
    command += ["LTTNG=1"] if found.lttng else []
    command += ["DPDK=1", f"DPDK_AT={found.dpdk}"] if found.dpdk else []
    ended = process.run(tuple(command), cwd=project, deadline_s=_BUILD_S)
    if ended.status != 0:
        raise Lost("tests/bench does not compile", evidence=ended.lines[-30:])
    return out / "bench_ring"


def _measured(project: Path, program: Path, form: str, *, with_lttng: bool) -> tuple[str, ...]:
    """Run the program, beside daemons of LTTng if it has that rival; return what it printed."""
    if not with_lttng:
        done = tool.run([program, form], deadline_s=_RUN_S, error=Lost)
        return done.lines
    with tempfile.TemporaryDirectory(prefix="bench-ring-") as home:
        script = project / "tests" / "bench" / "with_lttng.sh"
        for file in (program, script):
            shutil.copy(file, home)
        command = ["sh", f"{home}/{script.name}", home, form]
        if os.getuid() == 0:
            os.chown(home, _NOBODY, _NOBODY)
            command = [*_AS_NOBODY, *command]
        around = tool.Surroundings(own_group=True)
        return tool.run(command, deadline_s=_RUN_S, error=Lost, within=around).lines


def _machine() -> dict[str, str]:
    """Return the processor, its number of CPUs, the kernel, and whether this machine is virtual.

    A reader needs these to judge times that are not ratios.
    """
    words = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    model = next((w.partition(":")[2].strip() for w in words if w.startswith("model name")), "")
    guest = any(w.startswith("flags") and " hypervisor" in w for w in words)
    return {
        "processor": model or platform.machine(),
        "processors": str(os.cpu_count()),
        "virtual": "a virtual machine, not emulated" if guest else "no virtual machine",
        "kernel": platform.release(),
    }


def _cost_as_json(one: figures.Cost, floor: figures.Cost) -> dict[str, object]:
    return {
        "engine": one.engine,
        "ring_bytes": one.ring_bytes,
        "producers": one.producers,
        "record_bytes": one.record_bytes,
        "ns_per_record": asdict(figures.interval(one.batch_ns)),
        "ratio_to_floor": asdict(figures.ratio(one, floor)),
        "records_per_s": asdict(figures.interval(one.records_per_s)),
        "single_ns": dict(zip(("p50", "p99", "p99.9"), one.single_ns, strict=True)),
        "drops": one.drops,
        "rounds_batch_ns": one.batch_ns,
    }


def _as_json(results: Results, form: str) -> dict[str, object]:
    cells = figures.by_cell(results.measured).values()
    return {
        "form": form,
        "machine": results.machine,
        "missing": results.missing,
        "clock_read_ns": results.measured.clock_ns,
        "sections": asdict(results.measured.sections) if results.measured.sections else None,
        "one_lock": [asdict(one) for one in results.limits],
        "goals": [asdict(one) for one in results.goals],
        "costs": [
            _cost_as_json(one, costs[figures.FLOOR]) for costs in cells for one in costs.values()
        ],
        "loads": [asdict(one) for one in results.measured.loads],
    }


def is_exact(results: Results) -> bool:
    """Return whether each record written to our ring was either read or counted as dropped.

    Without a load of our ring this is not known, and the result is False. Goals of speed are not
    considered.
    """
    ours = [one for one in results.measured.loads if one.engine == figures.OURS]
    return bool(ours) and all(one.error == 0 and not one.found_garbage for one in ours)


def lines(results: Results) -> list[str]:
    """Return the results as lines of text: the machine, then for each cell a line for each engine.

    After these come the loads, the goals, the rivals that are missing, and the paths of the two
    files.
    """
    text = [", ".join(f"{key}: {value}" for key, value in results.machine.items())]
    for (ring, producers, size), costs in figures.by_cell(results.measured).items():
        text.append(f"{size} bytes, {figures.place(ring, producers)}")
        text += [_cost_line(one, costs[figures.FLOOR]) for one in costs.values()]
    text += [
        f"{one.engine:10} load, {one.cell}: {one.made} made, {one.read} read, "
        f"{one.drops} dropped, error {one.error}{', garbage' if one.found_garbage else ''}"
        for one in results.measured.loads
    ]
    words = {True: "reached", False: "MISSED", None: "not measured"}
    text += [f"goal {words[one.held]}: {one.text}: {one.figures}" for one in results.goals]
    text += [f"missing: {name}: {why}" for name, why in results.missing.items()]
    return [*text, str(results.figures_file), str(results.plot_file)]


def _cost_line(one: figures.Cost, floor: figures.Cost) -> str:
    ns = figures.interval(one.batch_ns)
    rate = figures.interval(one.records_per_s).median / 1e6
    single = "/".join(f"{value:.0f}" for value in one.single_ns)
    return (
        f"  {one.engine:10} {ns.median:7.1f} ns, {figures.ratio(one, floor)} x floor, "
        f"{rate:5.1f} M/s, single {single} ns, {one.drops} drops"
    )
