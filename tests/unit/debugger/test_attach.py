# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of attach: the debugger uses the symbols of the running kernel, not of the one in apt."""

import json
import os
from pathlib import Path

from harness.artefacts import kernel_symbols


def test_symbols_of_one_kernel_release_are_listed_with_the_most_recently_used_first(
    tmp_path: Path,
) -> None:
    """Cached symbols are found by the kernel's release; an unknown release has none."""
    for age, (name, build_id) in enumerate((("a", "11"), ("b", "22")), start=1):
        folder = tmp_path / "symbols" / f"vmlinux-6.1.0-50-cloud-amd64-{name}"
        folder.mkdir(parents=True)
        facts = {"release": "6.1.0-50-cloud-amd64", "build_id": build_id}
        (folder / "symbols.json").write_text(json.dumps(facts))
        os.utime(folder, (1000 * age, 1000 * age))

    found = kernel_symbols.of_release("6.1.0-50-cloud-amd64", tmp_path)

    assert [one.build_id for one in found] == ["22", "11"]
    assert found[0].reduced == found[0].vmlinux.with_name("vmlinux.lldb")
    assert kernel_symbols.of_release("6.1.0-50", tmp_path) == ()
    assert kernel_symbols.of_release("6.1.0-51-cloud-amd64", tmp_path) == ()
