# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Builds of the file publisher for each form that fsnotify's functions have had."""

import pytest

from tests.builds.edited_headers import EditedHeaders

FSNOTIFY = "include/linux/fsnotify_backend.h"


def take_fsid_away(headers: EditedHeaders) -> None:
    """Make the headers those of 6.8: a mark is attached to a list, and no fsid is given."""
    headers.edit(FSNOTIFY, "int add_flags, __kernel_fsid_t *fsid);", "int add_flags);")
    headers.edit(
        FSNOTIFY, "int add_flags,\n\t\t\t\t    __kernel_fsid_t *fsid);", "int add_flags);"
    )
    headers.edit(FSNOTIFY, "__kernel_fsid_t *fsid);", "void *);")
    headers.edit(FSNOTIFY, "add_flags, NULL);", "add_flags);")
    headers.edit(FSNOTIFY, "add_flags,\n\t\t\t\t\tNULL);", "add_flags);")


def test_the_driver_builds_where_a_mark_is_attached_to_a_list_without_an_fsid(
    headers: EditedHeaders,
) -> None:
    """Headers as of 6.8: fsnotify_add_mark takes the object's list of marks, and no fsid."""
    take_fsid_away(headers)

    headers.build("watch.o")


def test_the_driver_builds_where_a_group_has_no_flags(headers: EditedHeaders) -> None:
    """Headers as of before 5.19: fsnotify_alloc_group takes the operations alone."""
    headers.edit(FSNOTIFY, "#define FSNOTIFY_GROUP_USER", "#define FSNOTIFY_GROUP_OF_LATER")
    headers.edit(
        FSNOTIFY,
        "const struct fsnotify_ops *ops,\n\t\t\t\tint flags);",
        "const struct fsnotify_ops *ops);",
    )

    headers.build("watch.o")


@pytest.mark.parametrize("missing", ["FS_RENAME", "CONFIG_FSNOTIFY"])
def test_the_driver_builds_without_file_records_where_fsnotify_reports_no_renames(
    headers: EditedHeaders, missing: str
) -> None:
    """Without FS_RENAME or CONFIG_FSNOTIFY in the headers, no_files.o replaces the publisher."""
    if missing == "FS_RENAME":
        headers.edit(FSNOTIFY, "FS_RENAME", "FS_RENAME_OF_LATER")
    else:
        headers.switch_off("CONFIG_FSNOTIFY")

    parts = headers.parts()
    headers.build("main.o", "no_files.o", "file_path.o", "held_filter.o")

    assert "no_files.o" in parts
    assert not parts & {"publish_file.o", "watch.o", "watch_order.o", "file_memory.o"}


def test_the_driver_has_file_records_where_fsnotify_reports_renames(
    headers: EditedHeaders,
) -> None:
    """With headers of 6.1, which has FS_RENAME, the module has publish_file.o, not no_files.o."""
    parts = headers.parts()

    assert "publish_file.o" in parts
    assert "no_files.o" not in parts


def test_a_build_against_changed_headers_fails_when_the_driver_does_not_fit_them(
    headers: EditedHeaders,
) -> None:
    """When the prototype of fsnotify_init_mark is changed, the build fails and names watch.c."""
    headers.edit(
        FSNOTIFY, "void fsnotify_init_mark(struct fsnotify_mark *mark,", "void fsnotify_init_mark("
    )

    with pytest.raises(AssertionError, match=r"watch\.c"):
        headers.build("watch.o")
