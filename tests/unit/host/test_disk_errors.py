# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.disk_errors: an error of a disk or folder becomes one sentence with a hint."""

import errno
import os
from pathlib import Path

import pytest

from harness.errors import Lost, UsageError
from harness.host import disk_errors
from harness.model.environment import Environment


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Return an environment whose cache is in the test's folder."""
    return Environment(
        cache=tmp_path / "cache",
        runtime=tmp_path / "runtime",
        ci=True,
        color=False,
        kbuild={},
        run=None,
    )


def os_error(number: int, file: Path | None = None) -> OSError:
    """Return the OSError of a system call that failed with this number, and with this file."""
    return OSError(number, os.strerror(number), *([str(file)] if file else []))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOENT])
def test_the_error_for_a_cache_that_cannot_be_made_has_folder_and_reason(
    number: int, environment: Environment, tmp_path: Path
) -> None:
    """The hint of this error names the variable HARNESS_CACHE, which chooses another folder."""
    found = disk_errors.explain(
        os_error(number, tmp_path / "cache" / "apt"), environment, tmp_path
    )

    assert isinstance(found, UsageError)
    assert f"the cache {tmp_path / 'cache'} cannot be used" in found.message
    assert os.strerror(number) in found.message
    assert found.hint.startswith("HARNESS_CACHE=")


def test_the_error_for_a_cache_that_is_a_file_says_a_folder_is_expected(
    environment: Environment, tmp_path: Path
) -> None:
    """The error for a cache path that is a regular file says that a folder is expected."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(OSError) as caught:
        (tmp_path / "cache" / "images").mkdir(parents=True, exist_ok=True)

    found = disk_errors.explain(caught.value, environment, tmp_path)

    assert found is not None
    assert "it is a file, and a folder is expected" in found.message


def test_the_error_for_a_read_only_checkout_has_the_reason_and_hints_to_copy_it(
    environment: Environment, tmp_path: Path
) -> None:
    """The error for a read-only checkout says that results cannot be stored there."""
    place = tmp_path / "project" / "build" / "runs"

    found = disk_errors.explain(os_error(errno.EROFS, place), environment, tmp_path / "project")

    assert found is not None
    assert "project/build cannot be written to" in found.message
    assert "Read-only file system" in found.message
    assert "copy the project" in found.hint


@pytest.mark.parametrize("named", [True, False])
def test_a_full_disk_error_with_or_without_a_file_name_is_explained_with_folder_and_free_space(
    named: bool,  # noqa: FBT001
    environment: Environment,
    tmp_path: Path,
) -> None:
    """A full disk's error, with a file name or not, is explained with folder and free space."""
    (tmp_path / "cache").mkdir()
    error = os_error(errno.ENOSPC, tmp_path / "report.json" if named else None)

    found = disk_errors.explain(error, environment, tmp_path)

    assert isinstance(found, Lost)
    assert "no space left on device: " in found.message
    assert f"MiB are free in {tmp_path}" in found.message


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ENOENT, errno.EIO])
def test_explain_returns_none_for_enoent_or_eio_outside_the_cache_and_eacces_without_a_path(
    number: int, environment: Environment, tmp_path: Path
) -> None:
    """Only an OSError of a full disk or a folder that cannot be written gets an explanation."""
    assert disk_errors.explain(os_error(number, Path("/x")), environment, tmp_path) is None
    assert disk_errors.explain(os_error(errno.EACCES), environment, tmp_path) is None
