# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kext is built on Linux, twice the same, with symbols of the same UUID."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import BuildError
from harness.kext import build, bundle, macho
from harness.kext.build import COMPILED_ARCHES, KextBuild
from harness.model.products import KextSpec


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder by its name in it."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_two_builds_are_identical(built: KextBuild, spec: KextSpec, tmp_path: Path) -> None:
    """From a copy of the sources at another place come the same bytes, symbols included."""
    shutil.copytree(spec.root, tmp_path / "elsewhere")
    root = tmp_path / "elsewhere"
    other = replace(spec, root=root, plist=root / "os" / "macos" / "Info.plist")

    again = build.build(other, tmp_path / "out")

    assert tree(again.bundle) == tree(built.bundle)
    assert tree(again.dsym) == tree(built.dsym)


def test_it_holds_no_path_of_the_host(built: KextBuild, spec: KextSpec) -> None:
    """Neither binary nor symbols name a folder of the machine that they were built on."""
    for folder in (built.bundle, built.dsym):
        for name, data in tree(folder).items():
            assert str(spec.root).encode() not in data, name


def test_binary_and_symbols_have_one_uuid(built: KextBuild) -> None:
    """A debugger joins the two by it."""
    (symbols,) = (built.dsym / "Contents" / "Resources" / "DWARF").iterdir()

    assert build.uuid_of(built.binary.read_bytes()) == built.uuid
    assert build.uuid_of(symbols.read_bytes()) == built.uuid
    assert macho.parse(symbols.read_bytes()).header.file_type == macho.MH_DSYM


def test_another_source_has_another_uuid(spec: KextSpec, built: KextBuild, tmp_path: Path) -> None:
    """One constant changes, and the UUID with it."""
    root = tmp_path / "kernel"
    shutil.copytree(spec.root, root)
    gate = root / "os" / "macos" / "gate.c"
    gate.write_text(gate.read_text().replace("#define POLL_MS 5u", "#define POLL_MS 6u"))

    other = build.build(replace(spec, root=root), tmp_path / "out")

    assert other.uuid != built.uuid


def test_no_code_uses_what_the_kernel_has_not(built: KextBuild) -> None:
    """No vector register, no segment register, no red zone is in any instruction."""
    tools = [name for name in ("llvm-objdump", "llvm-objdump-19") if shutil.which(name)]
    line = [tools[0], "-d", "--no-show-raw-insn", str(built.binary)]

    code = subprocess.run(line, check=True, capture_output=True, text=True).stdout

    assert code.count("retq") > 50
    assert not [word for word in ("%xmm", "%ymm", "%fs:", "%gs:") if word in code]


def test_it_compiles_for_apple_silicon(spec: KextSpec, tmp_path: Path) -> None:
    """Every source makes an object of each architecture; what links them is on a Mac."""
    made = build.build(spec, tmp_path / "out", arches=tuple(COMPILED_ARCHES))

    for arch in COMPILED_ARCHES:
        files = list((tmp_path / "out" / "objects" / arch).glob("*.o"))
        assert made.objects[arch] == len(files) == len(build.sources_of(spec))
        for file in files:
            header = macho.parse(file.read_bytes()).header
            assert (header.file_type, header.cpu_type) == (macho.MH_OBJECT, macho.CPU_TYPE_ARM64)


def test_a_fault_in_the_source_is_shown(spec: KextSpec, tmp_path: Path) -> None:
    """The compiler's own words are the evidence."""
    root = tmp_path / "kernel"
    shutil.copytree(spec.root, root)
    (root / "core" / "wrong.c").write_text("int f(void) { return nothing; }\n")

    with pytest.raises(BuildError) as caught:
        build.build(replace(spec, root=root), tmp_path / "out")

    assert any("nothing" in line for line in caught.value.evidence)


def test_only_a_bundle_is_converted(built: KextBuild) -> None:
    """A kext, or bytes of anything else, are not what lld links."""
    for data, words in (
        (built.binary.read_bytes(), "a.* bundle is expected"),
        (b"\x7fELF" + bytes(60), "magic"),
        (b"", "ends too early"),
    ):
        with pytest.raises(macho.MachOMalformed, match=words):
            bundle.from_linked(data)
