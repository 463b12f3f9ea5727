"""What a person sees of a build."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO

from rich.console import Console

from slapos.build.job import Progress
from slapos.build.under_way import UnderWay
from slapos.cli.building import SHOWN_PARTS, BuildProgress, failure_lines, picture
from slapos.model.errors import BuildFailed


def beside(part: str, stage: str, expected: float | None = None) -> Progress:
    return Progress(part, 1, 6, stage, 0.0, expected, beside=True)


def shown(build: UnderWay, now: float, width: int = 80) -> list[str]:
    console = Console(file=StringIO(), width=width)
    console.print(picture(build, now))
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def told(steps: Iterable[Progress]) -> list[str]:
    stream = StringIO()
    with BuildProgress(console=Console(file=stream, width=80)) as progress:
        for step in steps:
            progress.take(step)
    return stream.getvalue().splitlines()


def test_the_picture_of_what_runs() -> None:
    build = UnderWay({"openssl": 80.0}, begun=0.0)
    build.take(beside("openssl", "make"), 0.0)
    build.take(beside("pcre2-with-a-name-that-is-longer-than-a-column", "configure"), 60.0)
    first, second, whole = shown(build, 60.5)
    assert " ".join(first.split()) == f"openssl make 1 min {'━' * 10}╸ of 1 min 20 s"
    assert second.split() == ["pcre2-with-a-name-that-…", "configure", "0", "s"]
    assert whole == "0 of 6 parts are done, 1 min so far"
    assert all(len(line) <= 40 for line in shown(build, 60.5, width=40))


def test_many_parts_do_not_fill_the_screen() -> None:
    build = UnderWay({}, begun=0.0)
    for number in range(SHOWN_PARTS + 5):
        build.take(beside(f"part{number}", "fetch"), float(number))
    lines = shown(build, 60.0)
    assert len(lines) == SHOWN_PARTS + 2
    assert lines[-2] == "and 5 more"


def test_lines_where_nothing_can_be_redrawn() -> None:
    steps = [beside("zlib", "start"), beside("zlib", "make"), beside("zlib", "make"), beside("popt", "start")]
    steps += [beside("zlib", "done"), beside("popt", "failed"), beside("logrotate", "blocked")]
    steps += [Progress("popt", 1, 9, "start", 0.0), Progress("zlib", 2, 9, "start", 0.0)]
    steps += [Progress(f"page{number}", number, 9, "install", 0.0) for number in range(1, 4)]
    steps += [Progress("popt", 5, 9, "start", 0.0), Progress("page6", 6, 9, "start", 0.0)]
    assert told(steps) == ["  building zlib", "  building popt", "✓ zlib", "✗ popt  failed", "– logrotate  blocked"]


def test_all_failures_are_shown_with_the_end_of_their_logs() -> None:
    errors = [
        BuildFailed(f"{part}: it failed.", context={"log": f"/log/{part}", "tail": ["one", f"end {part}"]}).as_data()
        for part in ("popt", "zlib")
    ]
    text = "\n".join(str(line) for line in failure_lines(tuple(errors)))
    for part in ("popt", "zlib"):
        assert f"{part}: it failed." in text and f"end {part}" in text and f"/log/{part}" in text
