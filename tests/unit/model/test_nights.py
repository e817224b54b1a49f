# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of model.nights: the older form of the night's key, and the names in its table."""

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.host import config
from harness.model.nights import CellSpec
from tests.unit.host.test_config import project


def test_a_list_of_cells_for_the_night_becomes_a_matrix_with_these_cells(tmp_path: Path) -> None:
    """The old form nightly = ["one", "one:other"] names a target, or target and kernel."""
    settings = config.load(project(tmp_path))

    assert settings.nightly.full.include == (
        CellSpec(target="one"),
        CellSpec(target="one", kernel="other"),
    )
    assert settings.nightly.full.targets == ()


@pytest.mark.parametrize(
    ("table", "key", "says"),
    [
        ('full = { flavours = ["memory"] }', "nightly.full.flavours (memory)", "plain"),
        ('short = { tests = ["smoke"] }', "nightly.short.tests (smoke)", "known names are: all"),
        ('full = { builds = ["arm64"] }', "nightly.full.builds (arm64)", "none"),
        ('sets = { all = { tests = ["guest"] } }', "nightly (all)", "another name"),
        ('flavours = { "a/b" = "x" }', "nightly (a/b)", "another name"),
        ('full = { kernel = ["other"] }', "nightly.full.kernel", "no such key"),
    ],
)
def test_the_error_for_a_wrong_name_in_the_table_of_the_night_names_its_key(
    tmp_path: Path, table: str, key: str, says: str
) -> None:
    """An unknown flavour, test set, build or key in [tool.harness.nightly] is a ConfigError."""
    file = project(tmp_path)
    text = file.read_text().replace('nightly = ["one", "one:other"]\n', "")
    file.write_text(f"{text}\n[tool.harness.nightly]\n{table}\n")

    with pytest.raises(ConfigError) as caught:
        config.load(file)

    assert caught.value.key == f"tool.harness.{key}"
    assert says in caught.value.message
