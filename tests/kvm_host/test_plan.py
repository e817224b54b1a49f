# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the plan and of what is brought, without a guest; each judge is shown a bad input."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.artefacts.cached import shared_cache
from harness.artefacts.cached.shared_cache import Shelf
from harness.host import config
from tests.kvm_host import brought
from tests.kvm_host.steps import BROUGHT, KVM_FACTOR, STEPS, Step, fault

STEP = Step(name="one", command="true", deadline_s=1.0, expected=("^kvm, x 8$", "passed"))


def test_a_step_ends_well_with_its_exit_code_and_all_texts() -> None:
    """A text may be anywhere in the output, and its expression sees single lines."""
    assert fault(STEP, 0, "passed\nkvm, x 8\n") == ""


@pytest.mark.parametrize(
    ("exit_code", "output", "words"),
    [
        (1, "passed\nkvm, x 8\n", "one: exit code 1, 0 is expected"),
        (0, "passed\ntcg, x 8\n", "one: the output has nothing like '^kvm, x 8$'"),
        (0, "kvm, x 8\nfailed\n", "one: the output has nothing like 'passed'"),
    ],
)
def test_another_exit_code_or_a_missing_text_is_a_fault(
    exit_code: int, output: str, words: str
) -> None:
    """A run that was emulated is no run under KVM, even if it passed."""
    assert fault(STEP, exit_code, output) == words


def test_the_steps_take_at_most_two_hours_together_and_have_names_of_their_own() -> None:
    """The deadlines are what a starved machine may need, not what the test should take."""
    assert len({step.name for step in STEPS}) == len(STEPS)
    assert sum(step.deadline_s for step in STEPS) <= 7200.0


def test_the_brought_project_uses_the_brought_cache_and_a_slow_hosts_deadlines(
    tmp_path: Path,
) -> None:
    """Of the second configuration every guest is lost."""
    brought._write_project(tmp_path / "project")

    good = config.load(tmp_path / "project" / "pyproject.toml")
    lost = config.load(tmp_path / "project" / "lost.toml")

    assert good.shared_cache == lost.shared_cache == Path(BROUGHT) / "cache"
    assert good.timeouts.kvm_factor == KVM_FACTOR
    assert good.timeouts == replace(lost.timeouts, kvm_factor=KVM_FACTOR, boot_s=90.0)
    assert good.images == tmp_path / "project" / "vm-images"


def test_what_lies_in_the_cache_is_brought_in_a_form_that_a_host_can_take(tmp_path: Path) -> None:
    """A shared cache that cannot be written is an error, since the test would be worth nothing."""
    made, cache = tmp_path / "images" / "one-0123", tmp_path / "cache"
    made.mkdir(parents=True)
    (made / "file").write_text("text")
    cache.mkdir()

    brought.share(made, cache)

    taken, shelf = tmp_path / "b" / "one-0123", Shelf(shared=cache, kind="images", name="one-0123")
    assert shared_cache.take(shelf, taken, problem=lambda _: "", progress=print)
    assert (taken / "file").read_text() == "text"
    with pytest.raises(RuntimeError, match="is not used"):
        brought.share(made, tmp_path / "missing")
