# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a disk or a folder refuses is one sentence with a hint; other errors stay as they are."""

import errno
import os
from pathlib import Path

import pytest

from harness.errors import Lost, UsageError
from harness.host import disk_errors
from harness.model.environment import Environment


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Give an environment whose cache lies in the test's folder."""
    return Environment(
        cache=tmp_path / "cache",
        runtime=tmp_path / "runtime",
        ci=True,
        color=False,
        kbuild={},
        run=None,
    )


def os_error(number: int, file: Path | None = None) -> OSError:
    """Return the error of a system call."""
    return OSError(number, os.strerror(number), *([str(file)] if file else []))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOENT])
def test_a_cache_that_cannot_be_made_is_a_sentence(
    number: int, environment: Environment, tmp_path: Path
) -> None:
    """The cache, the folder that refused, the reason, and the variable that moves it."""
    found = disk_errors.explain(
        os_error(number, tmp_path / "cache" / "apt"), environment, tmp_path
    )

    assert isinstance(found, UsageError)
    assert f"the cache {tmp_path / 'cache'} cannot be used" in found.message
    assert os.strerror(number) in found.message
    assert found.hint.startswith("HARNESS_CACHE=")


def test_a_cache_that_is_a_file_is_a_sentence(environment: Environment, tmp_path: Path) -> None:
    """As the system call itself reports it."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(OSError) as caught:
        (tmp_path / "cache" / "images").mkdir(parents=True, exist_ok=True)

    found = disk_errors.explain(caught.value, environment, tmp_path)

    assert found is not None
    assert "it is a file, and a folder is expected" in found.message


def test_a_checkout_that_cannot_be_written_to_is_a_sentence(
    environment: Environment, tmp_path: Path
) -> None:
    """The results of a run have no place there."""
    place = tmp_path / "project" / "build" / "runs"

    found = disk_errors.explain(os_error(errno.EROFS, place), environment, tmp_path / "project")

    assert found is not None
    assert "project/build cannot be written to" in found.message
    assert "Read-only file system" in found.message
    assert "copy the project" in found.hint


@pytest.mark.parametrize("named", [True, False])
def test_a_full_disk_is_lost_with_the_place(
    named: bool,  # noqa: FBT001
    environment: Environment,
    tmp_path: Path,
) -> None:
    """A write knows no name; then the places of the harness are looked at."""
    (tmp_path / "cache").mkdir()
    error = os_error(errno.ENOSPC, tmp_path / "report.json" if named else None)

    found = disk_errors.explain(error, environment, tmp_path)

    assert isinstance(found, Lost)
    assert "no space left on device: " in found.message
    assert f"MiB are free in {tmp_path}" in found.message


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ENOENT, errno.EIO])
def test_an_error_of_another_kind_is_no_sentence(
    number: int, environment: Environment, tmp_path: Path
) -> None:
    """It is a fault of the harness, and its traceback is needed."""
    assert disk_errors.explain(os_error(number, Path("/x")), environment, tmp_path) is None
    assert disk_errors.explain(os_error(errno.EACCES), environment, tmp_path) is None
