# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table kloss_events: every gap in the stream that the kernel reported."""

from osq.columns import Column, Context, Source, SqlValue, Table, common_columns
from osq.layout import REASONS, TYPE_NAMES
from osq.records import Lost


def _types(event: Lost, _: Context) -> SqlValue:
    mask = event.types
    numbers = (bit for bit in range(64) if mask >> bit & 1)
    return ",".join(TYPE_NAMES.get(number, f"type_{number}") for number in numbers)


def _dropped(reason: int) -> Source:
    return lambda event, _: event.dropped[reason]


LOSS_EVENTS = Table(
    name="kloss_events",
    about="Gaps in the stream: which numbers, when, why, of which types of records.",
    columns=(
        Column(name="first_seq", kind="BIGINT", by={Lost: "first_seq"}, source="lost.first_seq"),
        Column(name="last_seq", kind="BIGINT", by={Lost: "last_seq"}, source="lost.last_seq"),
        Column(
            name="first_ntime",
            kind="BIGINT",
            by={Lost: "first_ts_boot_ns"},
            source="lost.first_ts_boot_ns",
        ),
        Column(
            name="last_ntime",
            kind="BIGINT",
            by={Lost: "last_ts_boot_ns"},
            source="lost.last_ts_boot_ns",
        ),
        Column(
            name="dropped",
            kind="BIGINT",
            by={Lost: lambda event, _: sum(event.dropped)},
            source="lost.dropped, all reasons",
        ),
        *(
            Column(
                name=f"dropped_{reason}",
                kind="BIGINT",
                by={Lost: _dropped(number)},
                source=f"lost.dropped[{reason}]",
            )
            for number, reason in enumerate(REASONS)
        ),
        Column(name="types", kind="TEXT", by={Lost: _types}, source="lost.types, by name"),
        *common_columns((Lost,)),
    ),
    holds=(Lost,),
)
