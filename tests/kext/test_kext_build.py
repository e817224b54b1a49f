# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the kext's build on Linux: reproducible, and symbols with the binary's UUID."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import BuildError
from harness.kext import build, bundle, macho
from harness.kext.build import COMPILED_ARCHES, KextBuild
from harness.model.products import KextSpec


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every file of a folder by its relative path."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_a_build_from_sources_in_another_folder_has_the_same_bundle_and_dsym_bytes(
    built: KextBuild, spec: KextSpec, tmp_path: Path
) -> None:
    """The kext, built on Linux from a copy of the sources elsewhere, is the same byte for byte."""
    shutil.copytree(spec.root, tmp_path / "elsewhere")
    root = tmp_path / "elsewhere"
    other = replace(spec, root=root, plist=root / "os" / "macos" / "Info.plist")

    again = build.build(other, tmp_path / "out")

    assert contents(again.bundle) == contents(built.bundle)
    assert contents(again.dsym) == contents(built.dsym)


def test_no_file_of_bundle_and_dsym_contains_the_path_of_the_source_folder(
    built: KextBuild, spec: KextSpec
) -> None:
    """A kext and its dSYM, built on Linux, do not show in which folder they were built."""
    for folder in (built.bundle, built.dsym):
        for name, data in contents(folder).items():
            assert str(spec.root).encode() not in data, name


def test_binary_and_symbols_have_the_same_uuid(built: KextBuild) -> None:
    """The kext's binary and its dSYM have one UUID, by which a debugger matches them."""
    (symbols,) = (built.dsym / "Contents" / "Resources" / "DWARF").iterdir()

    assert build.uuid_of(built.binary.read_bytes()) == built.uuid
    assert build.uuid_of(symbols.read_bytes()) == built.uuid
    assert macho.parse(symbols.read_bytes()).header.file_type == macho.MH_DSYM


def test_a_changed_constant_in_the_source_gives_the_binary_another_uuid(
    spec: KextSpec, built: KextBuild, tmp_path: Path
) -> None:
    """With another POLL_MS in gate.c, the kext's UUID differs, so an old dSYM does not match."""
    root = tmp_path / "kernel"
    shutil.copytree(spec.root, root)
    gate = root / "os" / "macos" / "gate.c"
    gate.write_text(gate.read_text().replace("#define POLL_MS 5u", "#define POLL_MS 6u"))

    other = build.build(replace(spec, root=root), tmp_path / "out")

    assert other.uuid != built.uuid


def test_kext_code_uses_no_xmm_ymm_fs_or_gs_register(built: KextBuild) -> None:
    """llvm-objdump shows none of these registers, which kernel code must not use, in the kext."""
    tools = [name for name in ("llvm-objdump", "llvm-objdump-19") if shutil.which(name)]
    line = [tools[0], "-d", "--no-show-raw-insn", str(built.binary)]

    code = subprocess.run(line, check=True, capture_output=True, text=True).stdout

    assert code.count("retq") > 50
    assert not [word for word in ("%xmm", "%ymm", "%fs:", "%gs:") if word in code]


def test_sources_compile_for_apple_silicon(spec: KextSpec, tmp_path: Path) -> None:
    """Each source of the kext compiles on Linux for arm64 and arm64e; only a Mac can link them."""
    made = build.build(spec, tmp_path / "out", arches=tuple(COMPILED_ARCHES))

    for arch in COMPILED_ARCHES:
        files = list((tmp_path / "out" / "objects" / arch).glob("*.o"))
        assert made.objects[arch] == len(files) == len(build.sources_of(spec))
        for file in files:
            header = macho.parse(file.read_bytes()).header
            assert (header.file_type, header.cpu_type) == (macho.MH_OBJECT, macho.CPU_TYPE_ARM64)


def test_compile_error_has_the_compilers_message(spec: KextSpec, tmp_path: Path) -> None:
    """When a source of the kext does not compile, BuildError has the compiler's message."""
    root = tmp_path / "kernel"
    shutil.copytree(spec.root, root)
    (root / "core" / "wrong.c").write_text("int f(void) { return nothing; }\n")

    with pytest.raises(BuildError) as caught:
        build.build(replace(spec, root=root), tmp_path / "out")

    assert any("nothing" in line for line in caught.value.evidence)


def test_conversion_of_linker_output_to_a_kext_refuses_a_finished_kext_an_elf_and_an_empty_file(
    built: KextBuild,
) -> None:
    """bundle.from_linked raises MachOMalformed for each, because none is the linker's bundle."""
    for data, words in (
        (built.binary.read_bytes(), "not a.* bundle"),
        (b"\x7fELF" + bytes(60), "magic"),
        (b"", "ends too early"),
    ):
        with pytest.raises(macho.MachOMalformed, match=words):
            bundle.from_linked(data)
