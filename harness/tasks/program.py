# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The command line of `modlab` and `./dev`: invoke's Program, with more help and suggestions.

It adds --help after any task, words without an option's name, suggestions for unknown words, and
exit code 2 for every mistake on the command line. A call runs one task.
"""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from invoke.collection import Collection
from invoke.completion.complete import complete, print_completion_script
from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.program import Program

from harness import hints
from harness.errors import PIPE_CLOSED, UsageError
from harness.tasks.collection import installed_tasks
from harness.tasks.common import SHARED_HELP
from harness.tasks.execution import drop_output
from harness.tasks.words import arrange, command_words

_USAGE = UsageError.exit_code


class HarnessProgram(Program):
    """A command line with a fixed set of tasks."""

    def core_args(self) -> list[Argument]:
        """Return the options that may stand before a task."""
        return [
            Argument(names=("C",), help=SHARED_HELP["C"]),
            Argument(names=("config",), help=SHARED_HELP["config"]),
            Argument(names=("help", "h"), optional=True, help="show this, or help on a task"),
            Argument(names=("list", "l"), kind=bool, default=False, help="list the tasks"),
            Argument(names=("version", "V"), kind=bool, default=False, help="show the version"),
            Argument(
                names=("print-completion-script",),
                help="print the completion of a shell: bash, zsh or fish",
            ),
            Argument(names=("complete",), kind=bool, default=False, help="for that script"),
        ]

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse the options before the task; --version and the completion script end here.

        The words after `--` are put aside first: they are a command of the user.
        Raises: Exit after it has printed the version or the script.
        """
        self.normalize_argv(argv)
        self._separate_command()
        with _mistakes():
            self.parse_core_args()
            if self.args.version.value:
                self.print_version()
                raise Exit
            if shell := self.args["print-completion-script"].value:
                print_completion_script(shell=shell, names=[hints.program()])
                raise Exit

    def _separate_command(self) -> None:
        """Take the words after `--`, which are a command of the user, out of the command line.

        Invoke would join these words with blanks. With --complete they stay, because the
        completion script uses `--` itself.
        """
        self._command: list[str] | None = None
        if "--" in self.argv and "--complete" not in self.argv:
            place = self.argv.index("--")
            self.argv, self._command = self.argv[:place], self.argv[place + 1 :]

    def parse_tasks(self) -> None:
        """Parse the task and the words after it.

        Raises: Exit with code 2 for a mistake in them.
        """
        self.parser = self._make_parser()
        with _mistakes():
            result = self.parser.parse_argv(self._task_words(self.core.unparsed))
        # The first context in the result is that of the options before the task.
        self.core_via_tasks = result.pop(0)
        self.tasks = result

    def _task_words(self, words: list[str]) -> list[str]:
        """Return the words for invoke: the task, the project's options, the task's options.

        The list is empty when no task runs, as for --help.
        Raises: ParseError for an unknown task, and for a mistake in the words after it.
        """
        if not words or self.args.complete.value:
            return []
        name, *rest = words
        if name not in self.parser.contexts:
            raise ParseError(self._unknown(name))
        context, task = self.parser.contexts[name], self.collection[name]
        rest += command_words(self._command, context, option=task.command)
        found = arrange(rest, context, optional_word=task.word)
        if found.wants_help:
            self.args.help.value = name
            return []
        project = [
            f"{flag}={value}"
            for flag, value in (("-C", self.args.C.value), ("--config", self.args.config.value))
            # An option after the task is the nearer one, so it wins.
            if value and not any(word.startswith(flag) for word in found.options)
        ]
        return [name, *project, *found.options]

    def _unknown(self, word: str) -> str:
        if word.startswith("-"):
            known = list(self.initial_context.flags)
            return f"no option {word}{hints.did_you_mean(word, known)}"
        known = list(self.parser.contexts)
        return f"no task {word!r}{hints.did_you_mean(word, known)}"

    def parse_cleanup(self) -> None:
        """Handle a command line that runs no task: --help, --list, and the shell's completion.

        Raises: Exit after that. If a task is to run, nothing is done.
        """
        name = self.args.help.value
        if self.args.complete.value:
            # The shell passes the whole line; the program's own path is not completed.
            self.core.remainder = self.core.remainder.partition(" ")[2]
            complete(
                names=[],
                core=self.core,
                initial_context=self.initial_context,
                collection=self.collection,
                parser=self._make_parser(),
            )
        elif isinstance(name, str):
            with _mistakes():
                if name not in self.parser.contexts:
                    raise ParseError(self._unknown(name))
            self.print_task_help(name)
        elif self.args.list.value:
            self.list_tasks()
        elif name or not self.tasks:
            self.print_help()
        else:
            return
        raise Exit

    def update_config(self, merge: bool = True) -> None:
        """Read no configuration file of invoke, since no task uses one."""
        if merge:
            self.config.merge()

    @property
    def binary(self) -> str:
        """The name of the program in the texts of --help."""
        return hints.program()

    def print_version(self) -> None:
        """Print the name and the version of the distribution."""
        from importlib.metadata import version

        print(f"modlab {version('modlab')}")

    def print_help(self) -> None:
        """Print the usage, the options before a task, the tasks, and the exit codes."""
        print(f"Usage: {self.binary} [OPTIONS] TASK [--help] [OPTIONS OF THE TASK]\n")
        print("Options:\n")
        self.print_columns(self.initial_context.help_tuples())
        self.list_tasks()
        print("Exit codes: 0 passed, 1 failed, 2 usage or configuration, 3 crashed, 4 lost.")

    def print_task_help(self, name: str) -> None:
        """Print what a task does and its options."""
        context, task = self.parser.contexts[name], self.collection[name]
        named = [one.name or "" for one in context.positional_args]
        words = [word.upper() for word in named if word != task.command]
        words += [f"[{task.word.upper()}]"] if task.word else []
        words += ["[-- COMMAND]"] if task.command else []
        print(" ".join((f"Usage: {self.binary} {name}", *words, "[OPTIONS]\n")))
        print(f"{inspect.getdoc(task)}\n\nOptions:\n")
        self.print_columns(context.help_tuples())

    def task_list_opener(self, extra: str = "") -> str:
        """Return the heading that --list and --help print above the list of tasks."""
        del extra
        return "Tasks"


@contextmanager
def _mistakes() -> Iterator[None]:
    """Turn an error of invoke's parser inside the block into one sentence and exit code 2."""
    try:
        yield
    except ParseError as error:
        raise Exit(f"error: {error}", code=_USAGE) from error


def run(tasks: Collection, argv: list[str] | None = None) -> None:
    """Run the task that the command line names, and end the process with its exit code."""
    try:
        try:
            HarnessProgram(namespace=tasks).run(argv)
        finally:
            # Buffered output is written here, where a closed pipe is still handled.
            sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
        sys.exit(PIPE_CLOSED)


def main() -> None:
    """Run the command `modlab`."""
    run(installed_tasks())
