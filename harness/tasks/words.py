# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Check the words after a task's name, and convert them to the form that invoke's parser accepts.

Invoke takes a task's --help for the value of a missing word, has no optional words, and ends in a
traceback where a number is expected. This module reports such mistakes itself.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from invoke.exceptions import ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from harness import hints

HELP_FLAGS = ("--help", "-h")


@dataclass(kw_only=True)
class Arranged:
    """What follows a task's name on the command line, sorted: options, and words without a name.

    `wants_help` means that --help is among them.
    """

    options: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    wants_help: bool = False


def arrange(words: Sequence[str], context: ParserContext, *, optional_word: str) -> Arranged:
    """Return the words after a task's name as options in the form that invoke's parser accepts.

    Shape: `optional_word` is the option that may be given as a word without its name, or "".
    Raises: ParseError for an unknown option, for a missing or surplus word or value, and where a
        number is expected.
    """
    found = Arranged()
    waiting = iter(words)
    for word in waiting:
        # A task may have an option -h of its own.
        if word in HELP_FLAGS and word not in context.flags:
            found.wants_help = True
        # A lone dash is a word: it stands for the standard input.
        elif word.startswith("-") and word != "-":
            found.options += _option(word, waiting, context)
        else:
            found.words.append(word)
    if not found.wants_help:
        found.options += _named(found, context, optional_word)
    return found


def command_words(
    command: Sequence[str] | None, context: ParserContext, *, option: str
) -> tuple[str, ...]:
    """Return the words after `--` as one word, `--OPTION=LINE`; () if there is no `--`.

    A single word is LINE as it is, a line for the shell; several are a program and its arguments,
    and are quoted.
    Raises: ParseError when the task takes no command, or when none follows `--`.
    """
    if command is None:
        return ()
    if not option:
        raise ParseError(f"{context.name} takes no command after --")
    if not command:
        raise ParseError("a command is expected after --")
    return (f"--{option}={command[0] if len(command) == 1 else shlex.join(command)}",)


def _option(word: str, waiting: Iterator[str], context: ParserContext) -> Iterator[str]:
    """Yield an option in invoke's form: `--name=value` in one word, or a short one and its value.

    `word` is the option, and the value may be the next of the words in `waiting`.
    Raises: ParseError for an unknown option, a missing value, or a value that is no number.
    """
    name, equals, value = word.partition("=")
    if name not in context.flags:
        if word.startswith("--") or word[:2] not in context.flags:
            if name in context.inverse_flags:
                yield name
                return
            raise ParseError(f"{context.name} has no option {name}{_meant(name, context)}")
        # A short option with its value, as in -kNAME, is split by invoke.
        yield word
        return
    argument: Argument = context.flags[name]
    if not argument.takes_value:
        if equals:
            raise ParseError(f"{name} takes no value")
        yield name
        return
    if not equals:
        following = next(waiting, None)
        if following is None:
            raise ParseError(f"{name} needs a value")
        value = following
    _check_number(name, argument, value)
    # In one word, a value may begin with a dash. invoke takes the "=" for a part of the value when
    # the option is a short one.
    yield from (f"{name}={value}",) if name.startswith("--") else (name, value)


def _check_number(name: str, argument: Argument, value: str) -> None:
    if argument.kind not in {int, float}:
        return
    try:
        argument.kind(value)
    except ValueError:
        raise ParseError(f"{name} {value}: a number is expected") from None


def _named(found: Arranged, context: ParserContext, optional_word: str) -> Iterator[str]:
    """Yield words without an option's name as options, those that the task requires first.

    Words after these are values of the option `optional_word`, unless it is "" or given by name.
    Raises: ParseError for a missing word that the task requires, and for a surplus word.
    """
    given = {word.partition("=")[0] for word in found.options}
    names = [one.name or "" for one in context.positional_args if f"--{one.name}" not in given]
    missing = names[len(found.words) :]
    if missing:
        raise ParseError(f"{context.name} needs {' and '.join(map(str.upper, missing))}")
    if optional_word and f"--{optional_word}" not in given:
        names += [optional_word] * _most_words(found, context, optional_word, len(names))
    # Surplus words are refused below, with a better message than that of zip.
    for name, word in zip(names, found.words, strict=False):
        yield f"--{name}={word}"
    if len(found.words) > len(names):
        left = found.words[len(names) :]
        word = next((one for one in left if f"--{one}" in context.flags), left[0])
        meant = _meant(f"--{word}", context)
        raise ParseError(f"{context.name} takes no word {word!r} here{meant}")


def _most_words(found: Arranged, context: ParserContext, option: str, required: int) -> int:
    """Return how many words without an option's name may be values of `option`.

    It is one, or for an option that takes a list all words but the first `required` ones. A list
    takes none if a word is an option without its dashes, because that is a mistake.
    """
    if context.flags[f"--{option}"].kind is not list:
        return 1
    meant = any(f"--{word}" in context.flags for word in found.words)
    return 0 if meant else len(found.words) - required


def _meant(name: str, context: ParserContext) -> str:
    return hints.did_you_mean(name, [flag for flag in context.flags if flag.startswith("--")])
