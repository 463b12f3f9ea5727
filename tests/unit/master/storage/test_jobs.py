"""How writes come together, and how many wait for one another."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

import pytest

from slapos.master.storage import jobs as jobs_module
from slapos.master.storage.jobs import GROUP_LIMIT, Job, Jobs
from slapos.model.errors import Unavailable


def job() -> Job:
    return Job(lambda tx: None, Future())


def put(jobs: Jobs, count: int) -> list[Job]:
    made = [job() for _ in range(count)]
    for each in made:
        jobs.put(each)
    return made


def test_those_that_wait_come_together_in_their_order() -> None:
    jobs = Jobs()
    made = put(jobs, GROUP_LIMIT + 1)
    assert jobs.group() == made[:GROUP_LIMIT]
    assert jobs.group() == made[GROUP_LIMIT:]


def test_what_comes_while_others_run_joins_them() -> None:
    jobs = Jobs()
    first, second = put(jobs, 2)
    group, ran, late = jobs.group(), [], []
    for each in jobs.growing(group):
        ran.append(each)
        if each is second:
            late += put(jobs, 2)
    assert ran == group == [first, second, *late]


def test_no_group_grows_beyond_its_limit() -> None:
    jobs = Jobs()
    put(jobs, 1)
    group = jobs.group()
    for _ in jobs.growing(group):
        put(jobs, 1)
    assert len(group) == GROUP_LIMIT


def test_only_a_group_smaller_than_the_last_lingers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "LINGER", 20.0)
    jobs = Jobs()
    put(jobs, 2)
    assert len(list(jobs.growing(jobs.group()))) == 2, "the first ever is not waited with"
    put(jobs, 1)
    timer = threading.Timer(0.05, put, (jobs, 1))
    timer.start()
    begin = time.monotonic()
    assert len(list(jobs.growing(jobs.group()))) == 2
    assert time.monotonic() - begin < 10, "as many as before: no more are waited for"
    timer.join()


def test_who_comes_alone_again_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "LINGER", 0.01)
    jobs = Jobs()
    put(jobs, 2)
    list(jobs.growing(jobs.group()))
    put(jobs, 1)
    list(jobs.growing(jobs.group()))  # lingers once, in vain
    monkeypatch.setattr(jobs_module, "LINGER", 20.0)
    put(jobs, 1)
    begin = time.monotonic()
    assert len(list(jobs.growing(jobs.group()))) == 1
    assert time.monotonic() - begin < 10


def test_what_was_put_before_the_end_is_done_and_nothing_after_it() -> None:
    jobs = Jobs()
    made = put(jobs, 3)
    jobs.close()
    jobs.close()
    with pytest.raises(Unavailable, match="stopping"):
        put(jobs, 1)
    group = jobs.group()
    assert list(jobs.growing(group)) == made
    assert jobs.group() == []
