# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The shipped binaries contain nothing of the test build."""

import pytest

from harness.errors import BuildError
from harness.guest.shared_session import Handoff
from harness.host import config
from harness.release import gate


def test_release_check_accepts_the_release_module_and_lists_forbidden_texts_of_the_test_build(
    harness_handoff: Handoff,
) -> None:
    """The check before packaging refuses osq_test.ko for texts that no release may contain."""
    spec = config.load(harness_handoff.settings_file).packages
    assert spec is not None
    rules = gate.rules_of(spec)

    gate.check_module(harness_handoff.build.stripped, rules)
    with pytest.raises(BuildError) as caught:
        gate.check_module(harness_handoff.variants["test"].stripped, rules)

    in_modules = [text for text in spec.forbidden if text != "osquery_test"]
    said = "\n".join(caught.value.evidence)
    assert [text for text in in_modules if repr(text) not in said] == []
    assert harness_handoff.build.name != harness_handoff.variants["test"].name
