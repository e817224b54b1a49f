# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The register of the models of kernel functions: name, rules, failure and source of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Model = Callable[..., int | None]


@dataclass(frozen=True, kw_only=True)
class Kpi:
    """A model of one kernel function.

    `model` gets `arity` arguments and returns the function's result. `sleeps`: the function may
    sleep, so its caller must hold no spin lock. `failure` is the result when a test makes the
    function fail, None when it cannot fail. `source` is the XNU file in which the behaviour was
    read. `fixed` is the number of arguments that its declaration names, None for all.
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
    """Return a decorator that registers a function (kernel, *arguments) -> result as a model."""

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
