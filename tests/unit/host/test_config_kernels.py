# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.config: kernels that the harness builds, and the fragments that they name."""

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.host import config
from tests.unit.host.test_config import GOOD, project

PACKAGE = 'package = "linux-image-rt-amd64"'


def test_a_projects_own_fragment_is_preferred_to_one_that_ships_and_the_base_comes_first(
    tmp_path: Path,
) -> None:
    """A kernel built from source gets base.config, then the config fragments that it names."""
    mine = tmp_path / "images" / "kernels" / "kasan.config"
    mine.parent.mkdir(parents=True)
    mine.touch()
    source = 'source = "linux-source-6.1", fragments = ["kasan", "lkdtm"]'
    text = GOOD.replace(PACKAGE, source)

    found = config.load(project(tmp_path, text)).kernels["other"].fragments

    assert [file.name for file in found] == ["base.config", "kasan.config", "lkdtm.config"]
    assert found[1] == mine
    assert all(file.is_file() for file in found)


@pytest.mark.parametrize(
    ("kernel", "says"),
    [
        (
            'source = "linux-source-6.1", fragments = ["kasan", "odd"]',
            "kernels/odd.config; known names are: coverage, faults, kasan, kcsan, kmemleak,",
        ),
        (f'{PACKAGE}, fragments = ["kasan"]', "they need source, or tree without build"),
        ('tree = ".", build = true, fragments = ["kasan"]', "they need source, or tree without"),
    ],
)
def test_a_fragment_that_is_missing_or_has_no_use_is_an_error(
    kernel: str, says: str, tmp_path: Path
) -> None:
    """The error names the key `fragments`, and the known fragments or what they need."""
    file = project(tmp_path, GOOD.replace(PACKAGE, kernel))

    with pytest.raises(ConfigError) as caught:
        config.load(file)

    assert caught.value.key == "tool.harness.kernels.other.fragments"
    assert says in str(caught.value)
