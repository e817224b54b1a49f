# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of project.bench: the smoke form of bench-ring, its files, and rivals that are missing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.errors import KernelError
from harness.host import apt, system_packages
from harness.project.bench import figures, plot, ring, rivals

PROJECT = Path(__file__).resolve().parents[4]
OWN = {"floor", "ours", "original"}


def ran(project: Path, found: rivals.Rivals) -> ring.Results:
    """Return the results of the smoke form with these rivals; `project` gets the files."""
    for name in ("tests/bench", "tests/core", "kernel"):
        shutil.copytree(PROJECT / name, project / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rivals, "ensure", lambda **_: found)
        return ring.run(project=project, form="smoke", cache=project, progress=lambda _: None)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> ring.Results:
    """Run the smoke form on a machine without any rival."""
    missing = {"lttng-ust": "not installed", "rte_ring": "no apt"}
    found = rivals.Rivals(lttng=False, dpdk=None, missing=missing)
    return ran(tmp_path_factory.mktemp("alone"), found)


def test_the_smoke_form_measures_and_names_the_missing_rivals(alone: ring.Results) -> None:
    """A short ring benchmark writes figures of each ring in this tree to its file."""
    text = "\n".join(ring.lines(alone))
    stored = json.loads(alone.figures_file.read_text())

    assert ring.is_exact(alone)
    assert {tuple(costs) for costs in figures.by_cell(alone.measured).values()} == {
        ("floor", "ours", "original")
    }
    assert {row["engine"] for row in stored["costs"]} == OWN
    assert all(row["ns_per_record"]["median"] > 0 for row in stored["costs"])
    assert "missing: lttng-ust: not installed" in text
    assert "missing: rte_ring: no apt" in text
    assert stored["missing"] == alone.missing


def test_the_plot_shows_every_engine_and_loads_nothing(alone: ring.Results) -> None:
    """The ring benchmark's SVG has a legend entry for each ring and refers to no other file."""
    text = alone.plot_file.read_text()
    drawn = ET.fromstring(text)  # noqa: S314 - written by the line above
    words = {node.text for node in drawn.iter("{http://www.w3.org/2000/svg}text")}

    assert words >= OWN
    assert "href" not in text
    assert "url(" not in text


def test_lttng_records_what_bench_ring_makes(tmp_path: Path) -> None:
    """A real LTTng with its own daemons is measured, and accounts for every record."""
    needed = [one for one in system_packages.listed() if one.group == "rivals"]
    if system_packages.missing(needed):
        pytest.skip("LTTng is not installed: ./dev setup bench-ring installs it")

    results = ran(tmp_path, rivals.Rivals(lttng=True, dpdk=None, missing={}))

    (load,) = (one for one in results.measured.loads if one.engine == figures.LTTNG)
    assert (load.made, load.error) == (18000, 0)
    assert figures.LTTNG in {one.engine for one in results.measured.costs}


def with_loads(alone: ring.Results, *loads: figures.Load) -> ring.Results:
    """Return the results with other loads."""
    measured = figures.Measured(clock_ns=1.0, costs=alone.measured.costs, loads=loads)
    return replace(alone, measured=measured)


def test_a_load_with_an_error_of_ours_is_not_exact(alone: ring.Results) -> None:
    """If one record of our ring is missing in one load, is_exact is false for the benchmark."""
    (first, *others) = alone.measured.loads
    bad = figures.Load(engine=figures.OURS, cell=first.cell, made=10, read=8, drops=1, error=1)

    assert not ring.is_exact(with_loads(alone, bad, *others))


def test_a_benchmark_without_a_load_of_our_ring_is_not_exact(alone: ring.Results) -> None:
    """Nobody knows whether our ring lost records if it had no load."""
    assert not ring.is_exact(with_loads(alone))


def test_an_engine_that_has_no_colour_is_drawn_last(alone: ring.Results) -> None:
    """The plot of an engine that plot.py does not know has that engine at the legend's end."""
    unknown = replace(alone.measured.costs[0], engine="another")
    drawn = ET.fromstring(  # noqa: S314 - drawn here
        plot.svg(replace(alone.measured, costs=(*alone.measured.costs, unknown)))
    )
    words = [node.text for node in drawn.iter("{http://www.w3.org/2000/svg}text")]

    assert words.index("another") == len(OWN)


def test_missing_rivals_are_named_with_what_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ring benchmark names the packages of rings that it could not measure."""

    def refuse(*_: object) -> None:
        raise KernelError("apt-get could not download libdpdk-dev", hint="look at the network")

    monkeypatch.setattr(system_packages, "missing", tuple)
    monkeypatch.setattr(apt, "versions", lambda names: dict.fromkeys(names, "1"))
    monkeypatch.setattr(apt, "download", refuse)

    found = rivals.ensure(root=tmp_path, progress=lambda _: None)

    assert (found.lttng, found.dpdk) == (False, None)
    assert "liblttng-ust-dev" in found.missing["lttng-ust"]
    assert "setup bench-ring" in found.missing["lttng-ust"]
    assert found.missing["rte_ring"].endswith("libdpdk-dev; look at the network")
    assert not list(tmp_path.glob("dpdk/*")), "a fetch that failed leaves nothing"


def test_a_library_that_dpdk_needs_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If libbsd is missing, ensure() leaves DPDK out; the reason has 'apt-get install libbsd0'."""
    monkeypatch.setattr(rivals, "find_library", lambda name: None if name == "bsd" else name)

    found = rivals.ensure(root=tmp_path, progress=lambda _: None)

    assert found.dpdk is None
    assert found.missing["rte_ring"] == "its libraries bsd are missing; apt-get install libbsd0"
