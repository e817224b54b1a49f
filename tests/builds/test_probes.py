# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What Kbuild finds in the headers of each kernel: a probe that misses its word chooses wrongly.

A wrong choice often compiles all the same. So the answers for each kernel are written down here,
and compared with those for the headers that this machine has in its cache.
"""

import re
from pathlib import Path

import pytest

from harness.host import config
from tests.builds.edited_headers import EditedHeaders, macros

ALWAYS = {"FSNOTIFY", "GROUP_FLAGS", "INODE_GET_CTIME", "IN_EXECVE"}
OF_5_10 = ALWAYS | {"MARK_FSID", "MODULE_ARGS", "SB_FSNOTIFY_MARKS"}
OF_6_1 = OF_5_10 | {"GET_KRETPROBE"}
OF_6_12 = (OF_6_1 - {"MARK_FSID", "SB_FSNOTIFY_MARKS"}) | {
    *("CAP_VAL", "INODE_GET_ATIME", "MODULE_MEMORY", "PERCPU_WQ", "VM_FLAGS_SET"),
}
OF_7_3 = (OF_6_12 - {"MODULE_ARGS"}) | {
    *("EXIT_GROUP_DEAD", "FOR_EACH_ALIAS", "FS_SEQLOCK", "HRTIMER_SETUP", "NS_TYPE"),
}
EXPECTED = {"5.10": OF_5_10, "6.1": OF_6_1, "6.12": OF_6_12, "7.3": OF_7_3}


def cached_headers(version: str) -> list[Path]:
    """Return the common headers of a version that are in the cache, of each of its releases."""
    cache = config.environment().cache
    folders = [*cache.glob("kernels/*/src/*-common*"), *cache.glob("headers/*/src/*-common*")]
    name = re.compile(rf"linux-headers-{re.escape(version)}\.\d+[-+].*")
    return [one for one in sorted(folders) if name.fullmatch(one.name)]


@pytest.mark.parametrize("version", EXPECTED)
def test_kbuild_finds_in_cached_headers_what_their_version_has(version: str) -> None:
    """Kbuild greps the headers of each cached kernel, and sets the macros of its version."""
    folders = cached_headers(version)
    if not folders:
        pytest.skip(f"no headers of {version} are cached: invoke kernel-build --all fetches them")

    found = {folder.name: macros(folder) for folder in folders}

    assert found == dict.fromkeys(found, EXPECTED[version])


def test_a_word_in_a_comment_is_not_found(headers: EditedHeaders) -> None:
    """Kbuild sets no macro for hrtimer_setup when only a comment of the header mentions it."""
    header = headers.common / "include/linux/hrtimer.h"
    text = header.read_text()
    header.unlink()
    header.write_text(f"{text}\n/*\n * hrtimer_setup() is of later kernels.\n */\n")

    assert "HRTIMER_SETUP" not in macros(headers.common)


def test_a_word_that_has_moved_to_another_header_is_found(headers: EditedHeaders) -> None:
    """Kbuild sets NS_TYPE, too, when the member ns_type is in another header of its list."""
    folder = headers.common / "include/linux/ns"
    folder.mkdir()
    (folder / "ns_common_types.h").write_text("struct ns_common {\n\tu32 ns_type;\n};\n")

    assert "NS_TYPE" in macros(headers.common)
