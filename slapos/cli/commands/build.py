"""``slapos build``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from slapos.cli.lazy import Command
from slapos.cli.output import emit, say

if TYPE_CHECKING:
    from slapos.build.job import Result
    from slapos.build.look import Looked, Release


@click.command(cls=Command)
@click.argument("profile", metavar="RELEASE")
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be done and why, part by part; do nothing.")
@click.option(
    "--graph", "graph_file", type=click.Path(dir_okay=False), metavar="FILE.svg", help="Draw the plan; do nothing else."
)
@click.option(
    "--check", "checked", default="", metavar="PART", help="Build PART again and compare every byte; nothing else."
)
@click.option("--store", "stores", multiple=True, metavar="DIRECTORY", help="A store to take parts from; repeatable.")
@click.option("--cache", "caches", multiple=True, metavar="URL", help="A binary cache to ask; repeatable.")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="A key, or a file of keys, that the caches must use.")
@click.option("--signatures", type=click.IntRange(1), default=1, help="How many of the keys must have signed a part.")
@click.option("--directory", default="", metavar="DIRECTORY", help="Where the release is built.")
@click.option(
    "--jobs", type=click.IntRange(0), default=0, help="How many commands compile at once; 0: one a processor."
)
def build(profile: str, only_plan: bool, graph_file: str | None, checked: str, jobs: int, **where: Any) -> None:
    """Build a release on this machine, for who packages it; RELEASE is a URL, a file, or a name of the catalogue.

    New parts go into the first store that you may write to (STATE/build/store unless you name some), the release into
    STATE/build.  A part that fails lets those that do not need it end.  With --plan, each part is one of: present (the
    store has it), cached (it comes from a binary cache), build, private (made in the release's own directory), opaque
    (of a recipe that is not ours).
    """
    from slapos.cli.site.builds import chosen_release

    release = chosen_release(profile, where)
    if only_plan or graph_file:
        _look(release, graph_file)
    elif checked:
        _check(release, checked)
    else:
        _build(release, jobs)


def _look(release: Release, graph_file: str | None) -> None:
    from slapos.build.look import look

    looked = look(release)
    if graph_file:
        _draw(looked, graph_file)
    else:
        _show(looked)
    problem = looked.graph.first_error()
    if problem is not None:
        raise problem


def _draw(looked: Looked, path: str) -> None:
    from slapos.build.drawing import drawing
    from slapos.cli.plans import summary
    from slapos.system.files import atomic_write

    atomic_write(path, drawing(looked.graph, looked.plan), 0o644)
    emit({"graph": path}, lambda: f"{path}: {summary(looked.plan)}")


def _show(looked: Looked) -> None:
    def render() -> Any:
        from slapos.cli.plans import plan_view

        return plan_view(looked.graph, looked.plan)

    for refusal in looked.refusals:
        say(f"Not taken from a cache: {refusal}")
    if any(line.state == "build" for line in looked.plan.lines):
        _say_without_sandbox()
    emit({**looked.plan.as_data(), "refusals": looked.refusals, "graph": looked.graph.as_data()}, render)


def _check(release: Release, part: str) -> None:
    import dataclasses

    from slapos.build.look import look
    from slapos.build.reproduce import require_same
    from slapos.cli.building import BuildProgress
    from slapos.cli.site.checking import check_part

    look(release).line(part)
    say(f"Building {part} a second time: another directory, another time, another user, another number of jobs.")
    with BuildProgress.for_person() as progress:
        found = check_part(release, part, progress.take)
    require_same(found)
    emit(dataclasses.asdict(found), lambda: found.sentence)


def _say_without_sandbox() -> None:
    """Once, before anything is built: the record of each part says it too."""
    from slapos.build.sandbox import available

    reason = available()
    if reason:
        say(f"Parts are built without a sandbox: {reason}.")


def _build(release: Release, jobs: int) -> None:
    from slapos.cli.site.builds import kept_release

    result = kept_release(release) or _run(release, jobs)
    emit({"directory": release.directory, **result.as_data()}, lambda: f"{release.directory}: {result.sentence}")


def _run(release: Release, jobs: int) -> Result:
    from slapos.build.release import expected_seconds
    from slapos.cli.building import BuildProgress, failure_lines
    from slapos.cli.site.builds import build_release
    from slapos.model.errors import from_data

    _say_without_sandbox()
    try:
        with BuildProgress.for_person(expected_seconds(release.directory)) as progress:
            result = build_release(release, jobs, progress.take)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. Parts that were finished stay; the same command goes on with the rest.\n")
        raise click.exceptions.Exit(130) from None
    if result.error is not None:
        for line in failure_lines(result.errors[1:]):  # the first is told by who catches it
            say(line)
        if result.errors[1:]:
            say("")
        raise from_data(result.error)
    return result
