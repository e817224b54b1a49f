# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The register of the Python models that stand for XNU's functions in the emulator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Model = Callable[..., int | None]


@dataclass(frozen=True, kw_only=True)
class Kpi:
    """A Python model of one XNU function that a kext may call.

    `name` is the symbol. `model` gets `arity` arguments and returns the function's result.
    `sleeps`: the function may sleep, so its caller must hold no spin lock. `failure` is the result
    when a test makes the function fail, None when it cannot fail. `source` is the XNU file in
    which the behaviour was read. `fixed` is the number of arguments that its declaration names,
    None for all.
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
    """Return a decorator that registers a Python function as the model of the XNU function `name`.

    The function is called with the emulated kernel and the arguments. The parameters are the
    fields of `Kpi`.
    """

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
