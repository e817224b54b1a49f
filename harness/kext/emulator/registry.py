# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How a model of a kernel function is written down: name, rules, how it can fail, source."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Model = Callable[..., int | None]


@dataclass(frozen=True, kw_only=True)
class Kpi:
    """A modelled function: `arity` arguments go to `model`, which returns its result.

    `sleeps` is whether it may, so that no spin lock may be held; `failure` is what it returns when
    a test makes it fail, None where it cannot; `source` is the file of XNU's it was read in.
    `fixed` arguments are named in its declaration, None for all.
    """

    name: str
    model: Model
    arity: int
    sleeps: bool
    failure: int | None
    source: str
    fixed: int | None = None


MODELS: dict[str, Kpi] = {}


def kpi(
    name: str,
    arity: int,
    *,
    source: str,
    sleeps: bool = False,
    failure: int | None = None,
    fixed: int | None = None,
) -> Callable[[Any], Any]:
    """Enter a function as the model of a kernel function: (kernel, *arguments) -> result."""

    def enter(model: Model) -> Model:
        MODELS[name] = Kpi(
            name=name,
            model=model,
            arity=arity,
            sleeps=sleeps,
            failure=failure,
            source=source,
            fixed=fixed,
        )
        return model

    return enter
