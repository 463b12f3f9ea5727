"""The work of forwarding: asking the other master when an order comes, and again as long as it is served there.

An order is acknowledged when the other master has accepted it, and never before.  What it publishes later is found by
asking again, sooner after a change, later while nothing happens; asking says what is wanted *now*, so a change that
was lost on the way is made good by the next one.
"""

from __future__ import annotations

import dataclasses
import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from slapos.master.allocation.sla import FORWARDED_BY, MASTER_URL
from slapos.master.forwarding.objects import Asked, Elsewhere, Served
from slapos.master.forwarding.plan import OtherMaster, Ourselves, make_plan, sla_to_send
from slapos.master.services import forwards
from slapos.master.services.records import Row
from slapos.master.services.standing import Found
from slapos.master.storage.database import Storage
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import HyperopenxError, Unavailable
from slapos.model.objects import InstanceRequest
from slapos.model.states import InstanceState

if TYPE_CHECKING:
    from slapos.master.forwarding.remote import Remote

logger = logging.getLogger("slapos.master.forwarding")

FIRST_SECONDS = 1.0  # until it is asked again after a change
LONGEST_SECONDS = 60.0
LONGEST_WAITING_SECONDS = 15.0  # while there is no place for it yet
KNOWN_SECONDS = 300.0  # how long the run id of another master is believed
AT_ONCE = 8  # masters asked side by side
DEFECT = 500  # with this status a master answers one order, and serves the others
DESTROYED = InstanceState.DESTROYED


class Forwarder:
    """Thread-safe.  ``clock`` is UTC epoch seconds."""

    def __init__(
        self,
        *,
        storage: Storage,
        others: Sequence[OtherMaster],
        ourselves: Ourselves,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ourselves = ourselves
        self._storage = storage
        self._others = tuple(others)
        self._clock = clock
        self._lock = threading.Lock()
        self._remotes: dict[str, Remote] = {}
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="forwarding")
        self._busy: set[str] = set()  # masters that are being asked again
        self._run_ids: dict[str, tuple[str, float]] = {}
        self._quiet: dict[str, tuple[float, float]] = {}  # master → (until when it is left alone, last delay)

    def concerns(self, request: InstanceRequest) -> bool:
        """Whether the order must be looked at here: another master may serve it, or it came from one."""
        return bool(self._others) or MASTER_URL in request.sla or FORWARDED_BY in request.sla

    def forward(self, request: InstanceRequest, found: Found) -> Elsewhere | None:
        """Has another master accept the order when it is that one's; None: it is ours.

        Outside any transaction.  Raises what :func:`make_plan` and :meth:`Remote.ask` raise.
        """
        other = make_plan(request, found.standing, self._others, self.ourselves)
        if other is None or (found.forward is None and self._run_id(other) == self.ourselves.run_id):
            return None
        asked = _asked(request, found.state)
        row = found.forward or self._reserve(found, asked, other)
        try:
            served = self._ask(other, dataclasses.replace(asked, title=row["title"]))
        except HyperopenxError as error:
            if row["instance"] is None and not (isinstance(error, Unavailable) and error.context.get("sent", True)):
                self._storage.write(lambda tx: forwards.drop_reservation(tx, row["number"]))
            raise
        return Elsewhere(row["number"], other.url, served)

    def refresh(self, *, wait: bool = True) -> None:
        """Asks again for whatever is due, the masters side by side; who does not answer is left alone a while.

        Without ``wait`` it goes on in threads, so that a master that is slow delays no other.
        """
        now = self._clock()
        asked = {other.url: other for other in self._others if self._is_idle(other, now)}
        by_master: dict[str, list[Row]] = defaultdict(list)
        for row in self._storage.read(lambda tx: forwards.due(tx, asked, now)) if asked else ():
            by_master[row["master"]].append(row)
        self._busy |= set(by_master)
        tasks = [self._threads.submit(self._refresh, asked[url], rows) for url, rows in by_master.items()]
        for task in tasks:
            task.add_done_callback(_log_defect)
            if wait:
                task.result()

    def _is_idle(self, other: OtherMaster, now: float) -> bool:
        return other.url not in self._busy and self._quiet.get(other.url, (0.0, 0.0))[0] <= now

    def close(self) -> None:
        """Close the connections to all masters."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            for remote in self._remotes.values():
                remote.close()

    def _reserve(self, found: Found, asked: Asked, other: OtherMaster) -> Row:
        now = self._clock()
        return self._storage.write(lambda tx: forwards.reserve(tx, found.key, found.requester, asked, other.url, now))

    def _ask(self, other: OtherMaster, asked: Asked) -> Served | None:
        sla = sla_to_send(asked.sla, other, self.ourselves, asked.title)
        if not self._run_id(other):
            del sla[FORWARDED_BY]  # a full master, which would wait for ever for a place that has this key
        return self._remote(other).ask(dataclasses.replace(asked, sla=sla))

    def _refresh(self, other: OtherMaster, rows: Sequence[Row]) -> None:
        try:
            self._ask_each(other, rows)
        finally:
            self._busy.discard(other.url)

    def _ask_each(self, other: OtherMaster, rows: Sequence[Row]) -> None:
        for row in rows:
            try:
                self._ask_again(other, row)
                self._quiet.pop(other.url, None)
            except Unavailable as error:
                if error.context.get("status") != DEFECT:
                    self._leave_alone(other, error, rows)
                    return
                self._failed(row, error)

    def _ask_again(self, other: OtherMaster, row: Row) -> None:
        number = row["number"]
        asked = self._storage.read(lambda tx: forwards.asked_now(tx, row))
        try:
            served = self._ask(other, asked)
        except Unavailable:
            raise
        except HyperopenxError as error:
            self._failed(row, error)
            return
        now = self._clock()

        def keep(tx: Transaction) -> None:
            if asked.state is DESTROYED:
                forwards.taken_back(tx, number, now)
                return
            news = forwards.learn(tx, number, served, now)
            tries = 0 if news else row["tries"] + 1
            changed = forwards.asked_now(tx, row) != asked
            longest = LONGEST_WAITING_SECONDS if served is None else LONGEST_SECONDS
            forwards.ask_again(tx, number, due=int(now if changed else now + _delay(tries, longest)), tries=tries)

        self._storage.write(keep)

    def _failed(self, row: Row, error: HyperopenxError) -> None:
        now, tries = self._clock(), row["tries"] + 1

        def keep(tx: Transaction) -> None:
            forwards.complain(tx, row["number"], error.message, error=True, now=now)
            forwards.ask_again(tx, row["number"], due=int(now + _delay(tries, LONGEST_SECONDS)), tries=tries)

        self._storage.write(keep)

    def _leave_alone(self, other: OtherMaster, error: Unavailable, rows: Sequence[Row]) -> None:
        now = self._clock()
        last = self._quiet.get(other.url, (0.0, FIRST_SECONDS / 2))[1]
        delay = min(last * 2, LONGEST_SECONDS)
        self._quiet[other.url] = (now + random.uniform(delay / 2, delay), delay)
        logger.warning("%s", error.message)

        def keep(tx: Transaction) -> None:
            for row in rows:
                forwards.complain(tx, row["number"], error.message, error=False, now=now)

        self._storage.write(keep)

    def _run_id(self, other: OtherMaster) -> str:
        now = time.monotonic()
        known, until = self._run_ids.get(other.url, ("", 0.0))
        if now < until:
            return known
        found = self._remote(other).run_id()
        self._run_ids[other.url] = (found, now + KNOWN_SECONDS)
        return found

    def _remote(self, other: OtherMaster) -> Remote:
        from slapos.master.forwarding.remote import Remote  # the HTTP client: not for who needs none

        with self._lock:
            if other.url not in self._remotes:
                self._remotes[other.url] = Remote(other=other)
            return self._remotes[other.url]


def _log_defect(task: Future[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        logger.error("Asking again failed: %s", error, exc_info=error)


def _asked(request: InstanceRequest, state: InstanceState) -> Asked:
    kind = (request.release, request.software_type, request.shared)
    return Asked("", *kind, state, request.parameters, request.sla)


def _delay(tries: int, longest: float) -> float:
    """With jitter, so that what was ordered together is not asked for together for ever."""
    bound = min(FIRST_SECONDS * 2.0 ** min(tries, 20), longest)
    return max(FIRST_SECONDS, random.uniform(bound / 2, bound))
