# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Emulated threads that take turns on one processor, with a simulated clock.

A thread runs until it ends, waits, or has used the steps that a test allows. Time advances only at
calls and sleeps; when all threads wait for a time, the clock jumps to it. So all runs of a test
are identical. A test can stop a thread at any call and run others first, but only for as long as a
real thread could be delayed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from harness.errors import RuleBroken
from harness.kext.emulator.cpu import RETURN_AT, Cpu

# Every call takes simulated time, so that a loop of calls reaches its deadline.
_CALL_NS = 1000
# The longest delay of a thread that a test has stopped, and the longest sleep of a call when no
# other thread can run.
_PATIENCE_NS = 300_000_000
_FOREVER_NS = 5_000_000_000
# No call into a kext executes more instructions between two calls of kernel functions.
_RUNAWAY = 50_000_000


class Status(Enum):
    """Whether an emulated thread can run, waits, or has ended."""

    READY = "ready"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process of the emulated kernel.

    `task` and `credential` are addresses without memory that stand for XNU's objects.
    """

    pid: int
    ppid: int
    uid: int
    task: int
    credential: int


@dataclass(frozen=True, kw_only=True)
class Wait:
    """What an emulated thread waits for within a call of a kernel function, such as a mutex.

    `what` names it in messages. When `is_over` is true, `finish` returns the result of the call.
    `until_ns` is the simulated time at which the condition is checked again if no other thread can
    run.
    """

    what: str
    is_over: Callable[[], bool]
    until_ns: int | None = None
    finish: Callable[[], int] = lambda: 0


@dataclass
class Thread:
    """One emulated thread that calls a function of the kext: its state, held locks and result.

    `spins` and `mutexes` are the addresses of held locks. `parked_ns` is the simulated time at
    which a test stopped it.
    """

    name: str
    process: Process
    entry: int
    arguments: tuple[int, ...]
    stack: int
    status: Status = Status.READY
    context: Any = None
    wait: Wait | None = None
    spins: list[int] = field(default_factory=list)
    mutexes: list[int] = field(default_factory=list)
    calls: int = 0
    result: int = 0
    begun: bool = False
    parked_ns: int | None = None


class Scheduler:
    """The scheduler of the emulated threads and their clock.

    `check_end` is called with each thread that has ended.
    """

    def __init__(self, cpu: Cpu, check_end: Callable[[Thread], None]) -> None:
        self.cpu = cpu
        self.now_ns = 1_000_000_000
        self.threads: list[Thread] = []
        self.begun = 0
        self.current: Thread | None = None
        self.stop_after_call = False
        self.stop_at: Callable[[Thread], bool] | None = None
        self._check_end = check_end

    def new(
        self, name: str, process: Process, entry: int, arguments: tuple[int, ...] = ()
    ) -> Thread:
        """Return a new thread that will call the kext's function at `entry` when it is run."""
        thread = Thread(
            name=name,
            process=process,
            entry=entry,
            arguments=arguments,
            stack=self.cpu.stack(),
        )
        self.threads.append(thread)
        self.begun += 1
        # A new thread counts as stopped by the test, so it does not run while another one waits.
        thread.parked_ns = self.now_ns
        return thread

    def alive(self) -> Iterator[Thread]:
        """Yield every thread that has not ended."""
        return iter(tuple(self.threads))

    def finish(self, thread: Thread) -> int:
        """Run a thread until it has ended, and others while it waits; return the kext's result.

        Raises: RuleBroken when the kext breaks a rule of XNU, when all threads wait for each
            other, and when this thread takes more than 5 simulated seconds.
        """
        thread.parked_ns = None
        since_ns = self.now_ns
        while thread.status is not Status.ENDED:
            if self.now_ns - since_ns > _FOREVER_NS:
                raise RuleBroken(f"{thread.name} waits forever")
            self._turn(self._choose(thread))
        return thread.result

    def finish_all(self) -> None:
        """Run the emulated threads until each has ended."""
        for thread in self.alive():
            self.finish(thread)

    def run_to_wait(self, thread: Thread) -> bool:
        """Run one thread alone until it waits or ends; return whether it has ended."""
        while thread.status is Status.READY:
            self._turn(thread)
        return self._left(thread)

    def run_calls(self, thread: Thread, count: int) -> bool:
        """Run one thread alone until it has called `count` kernel functions.

        The thread stops after the last call, or earlier when it has to wait.
        Return whether it has ended.
        """
        wanted = thread.calls + count
        self.stop_at = lambda one: one.calls >= wanted
        try:
            while thread.status is Status.READY and thread.calls < wanted:
                self._turn(thread)
        finally:
            self.stop_at = None
        return self._left(thread)

    def run_steps(self, thread: Thread, count: int) -> bool:
        """Run one thread alone for at most `count` instructions; return whether it has ended.

        It stops earlier when it has to wait.
        """
        if count and thread.status is Status.READY:
            self._turn(thread, count=count)
        return self._left(thread)

    def run_to(self, thread: Thread, address: int) -> None:
        """Run one thread alone until its next instruction is at a given address.

        Raises: RuleBroken when it waits or ends before that.
        """
        while thread.status is Status.READY and self._at(thread) != address:
            self._turn(thread, until=address)
        if thread.status is not Status.READY:
            raise RuleBroken(f"{thread.name} does not reach {self.cpu.where(address)}")
        self._left(thread)

    def _left(self, thread: Thread) -> bool:
        """Record that a test has stopped a thread here, and return whether the thread has ended.

        Other threads run before such a thread, for up to 0.3 simulated seconds.
        """
        thread.parked_ns = self.now_ns
        return thread.status is Status.ENDED

    def _at(self, thread: Thread) -> int:
        if not thread.begun:
            return thread.entry
        context = thread.context[0] if isinstance(thread.context, tuple) else thread.context
        return self.cpu.pc_of(context)

    def sleep(self, duration_ns: int) -> None:
        """Advance the simulated clock."""
        self.now_ns += duration_ns

    def wait(self, wait: Wait) -> None:
        """Make the current thread wait, after the model of a kernel function has returned.

        The kext's call returns when the condition is met.
        """
        thread = self.running()
        thread.status, thread.wait = Status.WAITING, wait

    def running(self) -> Thread:
        """Return the emulated thread that runs now. Raises: RuleBroken when none runs."""
        if self.current is None:
            raise RuleBroken("no thread is running")
        return self.current

    def called(self) -> None:
        """Count a kernel function that the kext called, and advance the clock by 1 microsecond.

        The running thread stops after the call if it has to wait or if a test wants that.
        """
        thread = self.running()
        self.now_ns += _CALL_NS
        thread.calls += 1
        if thread.status is Status.WAITING or (self.stop_at and self.stop_at(thread)):
            self.stop_after_call = True
            self.cpu.engine.emu_stop()

    def _choose(self, wanted: Thread) -> Thread:
        """Return the thread to run next: `wanted` if it is ready, or else another ready one.

        When no thread is ready, the clock jumps to the earliest time for which a thread waits.
        Raises: RuleBroken for a deadlock.
        """
        self._wake()
        if wanted.status is Status.READY:
            return wanted
        ready = [one for one in self.alive() if one.status is Status.READY and self._may(one)]
        if ready:
            return ready[0]
        waits = [one.wait for one in self.alive() if one.wait]
        times = [one.until_ns for one in waits if one.until_ns and one.until_ns > self.now_ns]
        times += [one + _PATIENCE_NS for one in self._parked()]
        if not times:
            who = "; ".join(f"{one.name}: {one.wait.what}" for one in self.alive() if one.wait)
            raise RuleBroken(f"deadlock: {who}")
        self.now_ns = min(times)
        return self._choose(wanted)

    def _may(self, thread: Thread) -> bool:
        """Return whether a ready thread may run although another one is wanted.

        A thread that a test has stopped may do so only after 0.3 simulated seconds.
        """
        return thread.parked_ns is None or self.now_ns >= thread.parked_ns + _PATIENCE_NS

    def _parked(self) -> list[int]:
        ready = (one for one in self.alive() if one.status is Status.READY)
        return [one.parked_ns for one in ready if one.parked_ns is not None]

    def _wake(self) -> None:
        for thread in self.alive():
            wait = thread.wait
            if wait is not None and wait.is_over():
                thread.wait, thread.status = None, Status.READY
                before, self.current = self.current, thread
                # The result is written to its register when the thread runs again.
                thread.context = (thread.context, wait.finish())
                self.current = before

    def _turn(self, thread: Thread, *, count: int = _RUNAWAY, until: int = RETURN_AT) -> None:
        self._wake()
        if thread.status is not Status.READY:
            return
        self.current = thread
        self._enter(thread)
        self.stop_after_call = False
        self.cpu.run(count, until=until)
        if self.stop_after_call:
            self.cpu.finish_call()
            thread.context = self.cpu.engine.context_save()
        elif self.cpu.pc == RETURN_AT:
            thread.result = self.cpu.result
            thread.status = Status.ENDED
            self.threads.remove(thread)
            self.cpu.stack_done(thread.stack)
            self._check_end(thread)
        elif count == _RUNAWAY and self.cpu.pc != until:
            raise RuleBroken(f"{thread.name} runs without end at {self.cpu.where(self.cpu.pc)}")
        else:
            thread.context = self.cpu.engine.context_save()
        self.current = None

    def _enter(self, thread: Thread) -> None:
        if not thread.begun:
            thread.begun = True
            self.cpu.begin(thread.entry, thread.arguments, thread.stack)
            return
        context, result = thread.context, None
        if isinstance(context, tuple):
            context, result = context
        self.cpu.engine.context_restore(context)
        if result is not None:
            self.cpu.set_result(result)
