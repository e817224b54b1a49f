# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.provenance: the kernel of a run is known as soon as its guest is ready."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import Lost
from harness.guest import shared_session
from harness.guest.shared_session import SESSION_FILE
from harness.model.provenance import Provenance
from harness.report import run_report
from harness.runs import provenance
from tests.unit.crashes import report_of
from tests.unit.guest.test_shared_session import SAMPLE

EARLY = Provenance(kernel="6.1", kernel_release="6.1.0-50")


def test_provenance_is_read_from_session_json_until_the_run_has_a_report(
    tmp_path: Path,
) -> None:
    """What a run tests (kernel, target, commit) comes from report.json once it is there."""
    shared_session.write(replace(SAMPLE, provenance=EARLY), tmp_path / SESSION_FILE)

    assert provenance.of_run(tmp_path) == EARLY

    run_report.write(report_of(tmp_path))
    assert provenance.of_run(tmp_path) == report_of(tmp_path).provenance


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """A folder with neither report.json nor session.json raises Lost."""
    with pytest.raises(Lost, match="no report"):
        provenance.of_run(tmp_path)
