"""One pool of job slots for everything that compiles at once: the jobserver protocol of GNU make.

A pipe holds one byte (a token) for each slot.  Whoever runs a job holds a token; each running make has one already,
the one that our executor took for its part.  make from 4.2 on takes the two ends of the pipe as descriptors; ninja
from 1.13 on wants a path, which is the same pipe below ``/proc/self/fd``.
Source: "Job Slots" in the manual of GNU make; ``--jobserver-auth`` in its section "POSIX Jobserver Interaction".

An older ninja knows nothing of it: :func:`tokens` says how many jobs it may run.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import struct
import termios
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

VARIABLE = "MAKEFLAGS"
_TOKEN = b"+"
_AUTH = re.compile(r"--jobserver-(?:auth|fds)=(\d+),(\d+)")
_JOBS = re.compile(r"-j(\d+) --jobserver-auth")
_PATH = re.compile(r"--jobserver-auth=fifo:/proc/self/fd/(\d+)")


@dataclass(frozen=True)
class Slots:
    """The ends of the pipe as a process finds them in its environment: both descriptors are open and inheritable."""

    reading: int
    writing: int

    def take(self) -> bytes:
        """A token, or nothing when none is free now."""
        try:
            return os.read(self.reading, 1)
        except BlockingIOError:
            return b""

    def give(self, token: bytes) -> None:
        """Back into the pool: the byte that was taken."""
        os.write(self.writing, token)


class Jobserver:
    """``slots`` jobs at once, at least 1.  The pool is full as long as nobody runs anything."""

    def __init__(self, slots: int) -> None:
        if slots < 1:
            raise ValueError(f"{slots} slots")
        self.slots = slots
        reading, writing = os.pipe2(os.O_NONBLOCK)
        self.pool = Slots(reading, writing)
        for handle in self.descriptors:
            os.set_inheritable(handle, True)
        self.refill()

    @property
    def descriptors(self) -> tuple[int, int]:
        """What a program that shares the pool must inherit."""
        return self.pool.reading, self.pool.writing

    def environment(self) -> dict[str, str]:
        """For make, and for whatever speaks its protocol by descriptors.

        A command line with a ``-j`` of its own leaves the pool: give none (see :func:`jobs_option`).
        """
        return {VARIABLE: f" -j{self.slots} --jobserver-auth={self.pool.reading},{self.pool.writing}"}

    def refill(self) -> None:
        """As many tokens as slots, when nobody holds one: a killed make never gives its tokens back."""
        while self.pool.take():
            pass
        self.pool.give(_TOKEN * self.slots)

    def trim(self, held: int) -> None:
        """Take away tokens that nobody was given, while ``held`` are with running parts: a wicked build could make up
        any number, and the machine would be over-full."""
        lying = struct.unpack("i", fcntl.ioctl(self.pool.reading, termios.FIONREAD, b"\0" * 4))[0]
        for _ in range(lying - (self.slots - held)):
            self.pool.take()

    def close(self) -> None:
        """The pool ends."""
        for handle in self.descriptors:
            os.close(handle)

    def __enter__(self) -> Jobserver:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def shared_slots(environment: Mapping[str, str]) -> Slots | None:
    """The pool that ``environment`` names, if it is really there: descriptors of a pipe, open in this process."""
    found = _AUTH.search(environment.get(VARIABLE, ""))
    if found is None:
        return None
    handles = int(found[1]), int(found[2])
    try:
        if all(stat.S_ISFIFO(os.fstat(handle).st_mode) for handle in handles):
            return Slots(*handles)
    except OSError:
        pass
    return None


def shared_descriptors(environment: Mapping[str, str]) -> tuple[int, ...]:
    """What a command with this environment must inherit; empty when it shares nothing."""
    slots = shared_slots(environment)
    if slots is not None:
        return slots.reading, slots.writing
    path = _PATH.search(environment.get(VARIABLE, ""))
    return () if path is None else (int(path[1]),)


def jobs_option(environment: Mapping[str, str]) -> str:
    """The option of a make that may use all of the machine: none when it shares the pool, else ``-j<processors>``."""
    return "" if shared_slots(environment) else f"-j{processors()}"


def most_jobs(environment: Mapping[str, str]) -> int:
    """How many jobs a make with this environment runs at most: the size of the pool, shared with others or not."""
    found = _JOBS.search(environment.get(VARIABLE, ""))
    return int(found[1]) if found else processors()


def one_by_one(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a make that runs one job at a time: rules of an installation are seldom safe otherwise."""
    return {name: value for name, value in environment.items() if name != VARIABLE}


def ninja_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a ninja of at least 1.13, which shares the pool by a path."""
    slots = shared_slots(environment)
    if slots is None:
        return dict(environment)
    shared = f"--jobserver-auth=fifo:/proc/self/fd/{slots.reading}"
    return {**environment, VARIABLE: _AUTH.sub(shared, environment[VARIABLE])}


@contextlib.contextmanager
def tokens(environment: Mapping[str, str], most: int = 0) -> Iterator[int]:
    """How many jobs, at least 1 and at most ``most`` (0: as many as are free), a program may run that cannot share.

    Takes what is free at this moment, besides the slot that the part has; two that each waited for more would wait
    for each other.
    """
    slots = shared_slots(environment)
    if slots is None:
        yield most or processors()
        return
    taken: list[bytes] = []
    try:
        while (not most or 1 + len(taken) < most) and (token := slots.take()):
            taken.append(token)
        yield 1 + len(taken)
    finally:
        for token in taken:
            slots.give(token)


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))
