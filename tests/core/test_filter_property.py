# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Compare the driver's filters with a Python model, on filters that hypothesis generates.

The model uses ranges, sets and PurePosixPath.is_relative_to. It has no spans, counts or bits, so
the comparison covers both the encoding of a filter and its decision.
"""

import ctypes
import errno
from dataclasses import dataclass
from pathlib import PurePosixPath

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.test_property import library

UID, PID_NS, CGROUP, PATH = 1, 2, 4, 8
LIST_MAX, PATH_BYTES = 32, 4096


class Filter(ctypes.Structure):
    """The layout of struct osq_filter."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("exclude", ctypes.c_uint32),
        ("uid_count", ctypes.c_uint32),
        ("pid_ns_count", ctypes.c_uint32),
        ("cgroup_count", ctypes.c_uint32),
        ("path_count", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32 * 2),
        ("uids", ctypes.c_uint32 * 2 * LIST_MAX),
        ("pid_ns", ctypes.c_uint32 * LIST_MAX),
        ("cgroups", ctypes.c_uint64 * LIST_MAX),
        ("paths", ctypes.c_uint32 * 2 * LIST_MAX),
        ("bytes", ctypes.c_uint8 * PATH_BYTES),
    )


@dataclass(frozen=True, kw_only=True)
class ModelFilter:
    """A filter of the model in Python."""

    uids: tuple[range, ...]
    pid_ns: frozenset[int]
    cgroups: frozenset[int]
    paths: tuple[str, ...]
    exclude: int

    def encode(self) -> Filter:
        """Return the filter in the driver's encoding."""
        out = Filter(exclude=self.exclude)
        out.uid_count, out.pid_ns_count = len(self.uids), len(self.pid_ns)
        out.cgroup_count, out.path_count = len(self.cgroups), len(self.paths)
        for at, uids in enumerate(self.uids):
            out.uids[at][:] = (uids[0], uids[-1])
        out.pid_ns[: len(self.pid_ns)] = sorted(self.pid_ns)
        out.cgroups[: len(self.cgroups)] = sorted(self.cgroups)
        used = 0
        for at, path in enumerate(self.paths):
            text = path.encode()
            out.paths[at][:] = (used, len(text))
            out.bytes[used : used + len(text)] = text
            used += len(text)
        return out

    def passes(self, uid: int, namespaces: list[int], groups: list[int], path: str | None) -> bool:
        """Return whether the filter passes a record of a process.

        `namespaces` and `groups` are the process's own one and those above it.
        """
        agreed = [
            (UID, self.uids, any(uid in uids for uids in self.uids)),
            (PID_NS, self.pid_ns, not self.pid_ns.isdisjoint(namespaces)),
            (CGROUP, self.cgroups, not self.cgroups.isdisjoint(groups)),
        ]
        if path is not None:
            below = any(PurePosixPath(path).is_relative_to(prefix) for prefix in self.paths)
            agreed.append((PATH, self.paths, below))
        return all(found != bool(self.exclude & bit) for bit, listed, found in agreed if listed)


SMALL = st.integers(0, 6)
LARGE = st.one_of(SMALL, st.integers(0, 2**32 - 1))
NAMES = st.sampled_from(["a", "b", "ab", "ü", "a b"])
PATHS = st.lists(NAMES, max_size=4).map(lambda names: "/" + "/".join(names))
RANGES = st.tuples(LARGE, st.integers(0, 3)).map(lambda pair: range(pair[0], sum(pair) + 1))
FILTERS = st.builds(
    ModelFilter,
    uids=st.lists(RANGES.filter(lambda one: one[-1] < 2**32), max_size=LIST_MAX).map(tuple),
    pid_ns=st.frozensets(LARGE, max_size=LIST_MAX),
    cgroups=st.frozensets(st.one_of(SMALL, st.integers(0, 2**64 - 1)), max_size=LIST_MAX),
    paths=st.lists(PATHS, max_size=LIST_MAX).map(tuple),
    exclude=st.integers(0, 15),
)


def core_passes(
    wanted: ModelFilter, uid: int, namespaces: list[int], groups: list[int], path: str | None
) -> bool:
    """Return the decision of the driver's own code, called as os/linux/filter.c calls it."""
    text = None if path is None else path.encode()
    passes: int = library().osq_py_filter_lets(
        ctypes.byref(wanted.encode()),
        uid,
        (ctypes.c_uint32 * len(namespaces))(*namespaces),
        len(namespaces),
        (ctypes.c_uint64 * len(groups))(*groups),
        len(groups),
        text,
        len(text or b""),
    )
    return bool(passes)


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(
    wanted=FILTERS,
    uid=LARGE,
    namespaces=st.lists(SMALL, min_size=1, max_size=4),
    groups=st.lists(SMALL, min_size=1, max_size=4),
    path=st.none() | PATHS,
)
def test_any_filter_passes_the_same_processes_in_the_driver_core_and_the_model(
    wanted: ModelFilter, uid: int, namespaces: list[int], groups: list[int], path: str | None
) -> None:
    """For filters and processes that hypothesis draws, core and Python model decide alike."""
    encoded = wanted.encode()

    assert library().osq_py_filter_check(ctypes.byref(encoded), 15) == 0
    passes = core_passes(wanted, uid, namespaces, groups, path)
    assert passes == wanted.passes(uid, namespaces, groups, path)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(blob=st.binary(min_size=0, max_size=200), at=st.integers(0, ctypes.sizeof(Filter)))
def test_filter_of_random_bytes_is_refused_or_has_counts_within_the_limits(
    blob: bytes, at: int
) -> None:
    """The core refuses such a struct osq_filter, or none of its lists exceeds 32 entries."""
    room = bytearray(ctypes.sizeof(Filter))
    room[at : at + len(blob)] = blob
    encoded = Filter.from_buffer_copy(room[: ctypes.sizeof(Filter)])

    error = library().osq_py_filter_check(ctypes.byref(encoded), 15)

    assert error in {0, -errno.EINVAL}
    counts = (encoded.uid_count, encoded.pid_ns_count, encoded.cgroup_count, encoded.path_count)
    assert error != 0 or max(counts) <= LIST_MAX


def test_driver_core_including_a_user_and_model_excluding_that_user_decide_differently() -> None:
    """The comparison can fail: the core's filter includes this uid, the model's excludes it."""
    nobody = ModelFilter(
        uids=(range(5, 6),), pid_ns=frozenset(), cgroups=frozenset(), paths=(), exclude=0
    )
    all_but = ModelFilter(
        uids=(range(5, 6),), pid_ns=frozenset(), cgroups=frozenset(), paths=(), exclude=UID
    )

    assert core_passes(nobody, 5, [1], [1], None) != all_but.passes(5, [1], [1], None)
