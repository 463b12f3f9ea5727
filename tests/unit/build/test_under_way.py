"""What is said of a build while it runs."""

from __future__ import annotations

from slapos.build.job import Progress
from slapos.build.under_way import UnderWay


def test_sentence_with_what_is_to_go() -> None:
    build = UnderWay({"zlib": 10.0, "openssl": 80.0, "nginx": 40.0}, begun=100.0)
    assert build.sentence(100.0) == "the build begins"
    build.take(Progress("zlib", 1, 3, "install", 0.0, 10.0), 100.0)
    assert build.sentence(104.0) == "building zlib (1 of 3), 4 s, about 126 s to go"
    build.take(Progress("openssl", 2, 3, "install", 10.0, 80.0), 110.0)
    assert build.sentence(140.0) == "building openssl (2 of 3), 40 s, about 90 s to go"
    assert build.sentence(300.0) == "building openssl (2 of 3), 200 s, about 40 s to go"


def test_sentence_of_a_first_build() -> None:
    build = UnderWay({}, begun=0.0)
    build.take(Progress("openssl", 2, 7, "fetch", 3.0), 3.0)
    assert build.sentence(5.0) == "fetching openssl (2 of 7), 5 s"


def beside(part: str, stage: str, expected: float | None = None) -> Progress:
    return Progress(part, 1, 6, stage, 0.0, expected, beside=True)


def test_parts_side_by_side() -> None:
    build = UnderWay({"zlib": 10.0, "openssl": 80.0, "nginx": 40.0}, begun=0.0)
    build.take(beside("openssl", "configure"), 0.0)
    build.take(beside("zlib", "make"), 5.0)
    assert build.sentence(10.0) == "building openssl and zlib (0 of 6 parts are done), 10 s, about 70 s to go"
    assert build.take(beside("openssl", "make"), 11.0) == ()
    (ended,) = build.take(beside("zlib", "done"), 17.0)
    assert (ended.name, ended.seconds(17.0)) == ("zlib", 12.0)
    assert build.sentence(20.0) == "building openssl (1 of 6 parts are done), 20 s, about 100 s to go"
    build.take(beside("openssl", "failed"), 30.0)
    build.take(beside("nginx", "blocked"), 30.0)
    assert build.ended == {"zlib": "done", "openssl": "failed", "nginx": "blocked"}
    assert build.sentence(31.0) == "3 of 6 parts are done, 31 s"


def test_many_are_counted() -> None:
    build = UnderWay({}, begun=0.0)
    for name in "abcde":
        build.take(beside(name, "fetch"), 0.0)
    assert build.sentence(3.0) == "fetching a, b, c and 2 more (0 of 6 parts are done), 3 s"


def test_the_loop_after_it_ends_what_ran() -> None:
    build = UnderWay({}, begun=0.0)
    build.take(beside("openssl", "failed"), 1.0)
    build.take(Progress("openssl", 1, 6, "start", 1.0), 1.0)
    assert build.sentence(1.0) == "1 of 6, 1 s"
    assert build.take(Progress("page", 2, 6, "install", 1.0), 1.0) == (), "its end was told before"
    assert build.ended == {"openssl": "failed"}
    assert list(build.running) == ["page"]
    assert build.sentence(2.0) == "building page (2 of 6), 2 s"
