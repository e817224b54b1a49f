# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.reload: a kept guest of another project or with another kernel is refused."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.artefacts import kernels
from harness.errors import UsageError
from harness.guest import cleanup, joined, registry, shared_session
from harness.host import config
from harness.model.provenance import Provenance
from harness.model.request import KernelTestRequest
from harness.report.live_view import PlainView
from harness.runs import reload

ROOT = Path(__file__).resolve().parents[3]
KNOWN = Provenance(kernel="6.1", kernel_release="6.1.0-50")
SETTINGS = config.load(ROOT / "pyproject.toml")


@dataclass(frozen=True)
class FakeHandoff:
    """The part of a kept guest's session file that is read before anything is built."""

    run_id: str = "run-1"
    settings_file: Path = SETTINGS.file
    provenance: Provenance = KNOWN


@dataclass(frozen=True)
class FakeKernel:
    """A stand-in for the kernel that apt offers today."""

    release: str = "6.1.0-57"


def load_into(monkeypatch: pytest.MonkeyPatch, handoff: FakeHandoff, tmp_path: Path) -> Any:
    """Load into a kept guest with this session file."""
    entry = registry.GuestEntry(
        run_id="run-1", folder=tmp_path, disk=tmp_path, run=tmp_path, pid=1, target="debian-12"
    )
    monkeypatch.setattr(cleanup, "choose_guest", lambda *_words: entry)
    monkeypatch.setattr(shared_session, "read", lambda _file: handoff)
    monkeypatch.setattr(joined, "check_free", lambda _entry: None)
    monkeypatch.setattr(kernels, "ensure", lambda *_words, **_options: FakeKernel())
    request = KernelTestRequest(
        settings=SETTINGS, environment=config.environment(), target_name=None
    )
    return reload.load_again(request, "1", PlainView())


def test_a_guest_of_another_project_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A module is not loaded into it; the hint names the folder of the guest's project."""
    other = FakeHandoff(settings_file=Path("/elsewhere/modlab.toml"))

    with pytest.raises(UsageError, match=r"belongs to /elsewhere/modlab\.toml") as caught:
        load_into(monkeypatch, other, tmp_path)

    assert "call this in /elsewhere" in caught.value.hint


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (Provenance(kernel="gone"), "the guest's kernel gone is no longer configured"),
        (KNOWN, "the guest runs 6.1.0-50, and 6.1 is 6.1.0-57 now"),
    ],
)
def test_loading_into_a_guest_whose_kernel_is_no_longer_the_configured_one_is_refused(
    known: Provenance, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its name is no longer configured, or now means another release; UsageError says so."""
    with pytest.raises(UsageError, match=words) as caught:
        load_into(monkeypatch, replace(FakeHandoff(), provenance=known), tmp_path)

    assert "kernel-test-load" in caught.value.hint
