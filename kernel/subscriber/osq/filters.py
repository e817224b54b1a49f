# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kernel's filters as the configuration writes them: which records the kernel makes.

    "osq": {"filters": {
        "exec": {"uids": [0, "1000-1999"], "exclude": {"paths": ["/usr/lib/nagios"]}},
        "fork": {"cgroups": ["/sys/fs/cgroup/user.slice"]}
    }}

A filter applies to one type of records, and a record must match each of its lists. struct
osq_filter in uapi/osq.h defines the lists. An id may be given as a path: the file of a pid
namespace or the folder of a control group. The daemon looks these paths up when it starts; a
program that only reads the store does not.
"""

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from osq.errors import UsageError
from osq.layout import TYPES_BY_NAME
from osq.ring import FILTER_LIST_MAX, FILTER_PATH_BYTES, FILTER_PATH_TYPES, Filter
from osq.sections import Section

_UID_MAX = (1 << 32) - 1
_ID_MAX = {"pid_namespaces": (1 << 32) - 1, "cgroups": (1 << 64) - 1}
# ioctl_ns(2): the request _IO(0xb7, 3), and its answer for a pid namespace, CLONE_NEWPID.
_NS_GET_NSTYPE = 0xB703
_CLONE_NEWPID = 0x20000000
UidRange = tuple[int, int]
_DIGITS = re.compile("[0-9]{1,20}")


@dataclass(frozen=True, kw_only=True)
class FilterSpec:
    """One filter as the configuration has it: which records of a type the kernel makes.

    A record is made if it matches each list, except those in `exclude`, which must not match.
    Shape: uids are ranges, ends included; an id is a number, or the path of the file (of a pid
    namespace) or folder (of a control group) from which the number is read.
    """

    record: str
    uids: tuple[UidRange, ...] = ()
    pid_namespaces: tuple[int | str, ...] = ()
    cgroups: tuple[int | str, ...] = ()
    paths: tuple[str, ...] = ()
    exclude: frozenset[str] = frozenset()

    def resolved(self) -> Filter:
        """Return the filter for the driver, with the number of each id that is given as a path.

        Raises: UsageError for a path that does not exist, or is not what the list needs.
        """
        return Filter(
            record_type=TYPES_BY_NAME[self.record],
            uids=self.uids,
            pid_namespaces=self._ids("pid_namespaces", self.pid_namespaces, _pid_namespace),
            cgroups=self._ids("cgroups", self.cgroups, _cgroup),
            paths=tuple(map(os.fsencode, self.paths)),
            exclude=self.exclude,
        )

    def _ids(
        self, name: str, given: Iterable[int | str], find: Callable[[str], int]
    ) -> tuple[int, ...]:
        try:
            return tuple(one if isinstance(one, int) else find(one) for one in given)
        except OSError as error:
            key = f"osq.filters.{self.record}.{name}"
            raise UsageError(f"{key}: {error.filename}: {error.strerror}") from error


def _pid_namespace(file: str) -> int:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        kind = fcntl.ioctl(descriptor, _NS_GET_NSTYPE)
        number = os.fstat(descriptor).st_ino
    except OSError as error:
        raise OSError(error.errno, "this is not a namespace", file) from error
    finally:
        os.close(descriptor)
    if kind != _CLONE_NEWPID:
        raise OSError(errno.EINVAL, "this is not a pid namespace", file)
    return number


def _cgroup(folder: str) -> int:
    status = Path(folder).stat()
    # Every group of the unified hierarchy has this file; groups of older hierarchies do not.
    if not (Path(folder) / "cgroup.controllers").exists():
        raise OSError(errno.EINVAL, "this is not a control group of the unified hierarchy", folder)
    return status.st_ino


def filters_of(section: Section, records: tuple[str, ...]) -> tuple[FilterSpec, ...]:
    """Return the filters of the configuration's section "filters", one for each type in it.

    records: the types of records that the daemon subscribes to.
    Raises: ConfigError for a filter that the kernel would refuse, or of another type.
    """
    filters = []
    for record in section.keys():  # noqa: SIM118 - no mapping, a section of the file
        if record not in TYPES_BY_NAME:
            raise section.refuse(record, "no such type of records")
        if record not in records:
            raise section.refuse(
                record, f"{record} is not in osq.records, so there is nothing to filter"
            )
        filters.append(_filter_of(section.section(record), record))
    return tuple(filters)


def _filter_of(section: Section, record: str) -> FilterSpec:
    inner = section.section("exclude")
    excluded = frozenset(inner.keys())
    for name in sorted(excluded):
        if name in section.keys():  # noqa: SIM118
            raise inner.refuse(name, f"{name} is also set outside exclude: choose one")

    def of(name: str) -> Section:
        return inner if name in excluded else section

    for name in ("uids", "pid_namespaces", "cgroups", "paths"):
        section.allow(name)
        inner.allow(name)
    section.refuse_others()
    inner.refuse_others()
    if TYPES_BY_NAME[record] not in FILTER_PATH_TYPES and of("paths").has("paths"):
        raise of("paths").refuse(
            "paths", f"only exec records have this list; {record} records do not"
        )
    return FilterSpec(
        record=record,
        uids=tuple(_uids(of("uids"))),
        pid_namespaces=_ids(of("pid_namespaces"), "pid_namespaces"),
        cgroups=_ids(of("cgroups"), "cgroups"),
        paths=_paths(of("paths")),
        exclude=excluded,
    )


def _listed(section: Section, name: str) -> tuple[object, ...]:
    """Return the list under a key of a filter; () when the key is missing.

    Raises: ConfigError unless the list has from 1 to FILTER_LIST_MAX entries, the kernel's limit.
    """
    expected = f"a list of 1 to {FILTER_LIST_MAX} was expected"

    def is_right(value: object) -> bool:
        return isinstance(value, list) and 1 <= len(value) <= FILTER_LIST_MAX

    return tuple(section.get(name, (), expected, is_right))


def _uids(section: Section) -> Iterable[UidRange]:
    for one in _listed(section, "uids"):
        ends = one.split("-") if isinstance(one, str) else [one]
        numbers = [_number(end, _UID_MAX) for end in ends]
        first, last = numbers[0], numbers[-1]
        if len(numbers) > 2 or first is None or last is None or first > last:
            raise section.refuse("uids", f"{one!r}: a uid, or FIRST-LAST, was expected")
        yield first, last


def _number(value: object, most: int) -> int | None:
    """Return a whole number from 0 to `most`, given as a number or as digits; else None."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    return value if type(value) is int and 0 <= value <= most else None


def _ids(section: Section, name: str) -> tuple[int | str, ...]:
    ids: list[int | str] = []
    for one in _listed(section, name):
        number = _number(one, _ID_MAX[name])
        if number is not None:
            ids.append(number)
        elif isinstance(one, str) and _is_path(one):
            ids.append(one)
        else:
            raise section.refuse(name, f"{one!r}: a number or an absolute path was expected")
    return tuple(ids)


def _paths(section: Section) -> tuple[str, ...]:
    paths = []
    for one in _listed(section, "paths"):
        path = one.rstrip("/") or "/" if isinstance(one, str) and one else one
        if not isinstance(path, str) or not _is_path(path):
            expected = "an absolute path without wildcards, . and .. was expected"
            raise section.refuse("paths", f"{one!r}: {expected}")
        paths.append(path)
    if sum(len(os.fsencode(path)) for path in paths) > FILTER_PATH_BYTES:
        raise section.refuse("paths", f"more than {FILTER_PATH_BYTES} bytes in all")
    return tuple(paths)


def _is_path(text: str) -> bool:
    """Return whether a text can be a path in a filter: absolute, without wildcards, . and .."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    parts = text.split("/")[1:]
    is_whole = text == "/" or not any(part in {"", ".", ".."} for part in parts)
    return text.startswith("/") and is_whole and not any(one in text for one in "%*\0")
