"""``slapos request TITLE [RELEASE]``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from slapos.cli.carrying import carried, remark
from slapos.cli.connection import master_checks, open_client, release_url
from slapos.cli.lazy import Command
from slapos.cli.output import emit, say
from slapos.cli.parameters import read_parameters, read_texts
from slapos.cli.views import instance_view
from slapos.cli.waiting import served, wait_until_served
from slapos.model.errors import InputError, NotFound, NotReady
from slapos.model.objects import DEFAULT_SOFTWARE_TYPE, Instance, InstanceRequest
from slapos.model.states import InstanceState

if TYPE_CHECKING:
    from slapos.slap.interface import Person

STATES = [str(state) for state in InstanceState]


@click.command(cls=Command, several=("--parameters", "--sla", "--node"))
@click.argument("title", metavar="TITLE")
@click.argument("release", required=False, metavar="[RELEASE]")
@click.option("--type", "software_type", metavar="TYPE", help=f"Software type; of a new one: {DEFAULT_SOFTWARE_TYPE}.")
@click.option("--state", type=click.Choice(STATES), help="What it shall be; without it, it stays what it is.")
@click.option("--shared", "--slave", is_flag=True, help="A set of parameters served by another instance.")
@click.option("--sla", "--node", "sla", multiple=True, metavar="KEY=VALUE…", help="Where it may live.")
@click.option(
    "--parameters",
    multiple=True,
    metavar="KEY=VALUE…|FILE",
    help="Texts as key=value, other values as key:=json, or a .json or .yaml file.",
)
@click.option("--parameters-file", metavar="FILE", help="A .json, .yaml or .xml file; --parameters override it.")
@click.option(
    "--force-serialisation", type=click.Choice(["xml", "json-in-xml"]), help="Instead of what the release says."
)
@click.option("--wait", is_flag=True, help="Return when it is served, and show what happens meanwhile.")
@click.option(
    "--timeout", type=float, default=3600, show_default=True, metavar="SECONDS", help="How long --wait waits."
)
def request(title: str, release: str | None, **options: Any) -> None:  # fmt: skip
    """Order an instance of RELEASE called TITLE, or change the one that you have.

    RELEASE is a URL, a path, or the name of a release of the catalogue. What is not given stays what it is;
    --parameters and --sla each replace all that were given before. Exit code 75 says: accepted, not served yet.
    """
    client = open_client()
    order = make_order(title, release, options, find_instance(client, title))
    if not master_checks():
        remark(order)
    instance = client.request(order)
    if options["wait"]:
        instance = wait(client, instance, options["timeout"])
    emit(dataclasses.asdict(instance), lambda: instance_view(instance))
    if not served(instance):
        raise not_ready(instance)


def wait(client: Person, instance: Instance, seconds: float) -> Instance:
    """Ctrl-C ends the waiting, not the order."""
    try:
        return wait_until_served(client, instance, seconds)
    except KeyboardInterrupt:
        say(f"\nNobody waits any more; the order stands. Look again with: slapos service info {instance.guid}")
        raise


def find_instance(client: Person, title: str) -> Instance | None:
    """The instance of this title that lives; None when there is none."""
    try:
        known = client.instance(title=title)
    except NotFound:
        return None
    return None if known.state is InstanceState.DESTROYED else known


def make_order(title: str, release: str | None, options: dict[str, Any], known: Instance | None) -> InstanceRequest:
    """The order that the words of the command line mean, for the instance that there is."""
    if release is None and known is None:
        raise InputError(
            f"There is no instance {title!r} yet: name the release of a new one.",
            reference="release-needed",
            context={"field": "RELEASE", "title": title},
            hint=f"slapos request {title} RELEASE",
        )
    url = known.release if release is None and known is not None else release_url(release or "")
    software_type = options["software_type"] or (known.software_type if known else DEFAULT_SOFTWARE_TYPE)
    return InstanceRequest(
        title=title,
        release=url,
        software_type=software_type,
        parameters=make_parameters(url, (software_type, options["shared"]), options, known),
        sla=read_texts(options["sla"], "sla") if options["sla"] or known is None else known.sla,
        state=InstanceState(options["state"]) if options["state"] else None,
        shared=options["shared"],
    )


def make_parameters(
    release: str, kind: tuple[str, bool], options: dict[str, Any], known: Instance | None
) -> Mapping[str, str]:
    """Those given; none given: those that the instance has."""
    if known is not None and not options["parameters"] and not options["parameters_file"]:
        return known.parameters
    values = read_parameters(options["parameters"], options["parameters_file"])
    return carried(values, release, kind, options["force_serialisation"])


def not_ready(instance: Instance) -> NotReady:
    return NotReady(
        f"{instance.title} is accepted and not served yet: {instance.sentence or instance.health}",
        context={"reasons": list(instance.reasons)} if instance.reasons else {},
        hint=f"It is served by itself as soon as it can be. Look again with: slapos service info {instance.guid}",
    )
