# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The plan of a night as a JSON file, with which other machines run single cells of the night.

The cells of a plan are independent of each other. The night in it has an id, so that the results
of all machines belong to one night.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness import hints
from harness.errors import UsageError
from harness.model.settings import Settings
from harness.nightly import cells
from harness.nightly.values import Cell, CellKind, Night, PlannedCell

# The schema of the JSON; it rises when a field changes its meaning or disappears.
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class ListedCell:
    """A cell of a plan file. `command` are the arguments that follow the program's name."""

    id: str
    kind: CellKind
    target: str
    kernel: str
    flavour: str
    arch: str
    image: str
    tests: str
    module: str
    expected_s: float
    left_out: str
    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PlanFile:
    """A plan file's content: the night, its limits in seconds, its cells in starting order."""

    schema: int
    form: str
    budget_s: float
    deadline_s: float
    night: Night
    cells: tuple[ListedCell, ...]

    @property
    def planned(self) -> tuple[PlannedCell, ...]:
        """The cells of the plan as the values that the history stores."""
        return tuple(
            PlannedCell(
                cell=Cell(**{field.name: getattr(one, field.name) for field in fields(Cell)}),
                position=position,
                expected_s=one.expected_s,
                left_out=one.left_out,
                command=hints.command(*one.command),
            )
            for position, one in enumerate(self.cells)
        )

    @property
    def running(self) -> tuple[ListedCell, ...]:
        """The cells of the plan that run, without those that were left out."""
        return tuple(one for one in self.cells if not one.left_out)


_PLAN = TypeAdapter(PlanFile)


def of_night(
    settings: Settings, night: Night, chosen: Sequence[PlannedCell], *, budget_s: float
) -> PlanFile:
    """Return the content of the plan file of a night, for other machines."""
    return PlanFile(
        schema=SCHEMA,
        form=night.form,
        budget_s=budget_s,
        deadline_s=settings.nightly.deadline_s,
        night=night,
        cells=tuple(
            ListedCell(
                id=one.cell.id,
                **{field.name: getattr(one.cell, field.name) for field in fields(Cell)},
                expected_s=one.expected_s,
                left_out=one.left_out,
                command=cells.task_words(settings, one.cell),
            )
            for one in chosen
        ),
    )


def text(plan: PlanFile) -> str:
    """Return the JSON text of a plan file."""
    return _PLAN.dump_json(plan, indent=1).decode()


def read(file: Path) -> PlanFile:
    """Return the plan in a JSON file.

    Raises: UsageError for a file that is missing, that is no plan, or that has another schema.
    """
    hint = f"`{hints.command('nightly', '--plan', 'json')}` prints a plan"
    try:
        plan = _PLAN.validate_json(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", hint=hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{file} is no plan: {where}: {first['msg']}", hint=hint) from error
    if plan.schema != SCHEMA:
        raise UsageError(
            f"{file} has schema {plan.schema}; this harness knows {SCHEMA}", hint=hint
        )
    return plan
