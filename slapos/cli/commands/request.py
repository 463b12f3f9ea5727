"""``slapos request TITLE RELEASE``."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from slapos.cli.carrying import carried
from slapos.cli.connection import open_client, release_url
from slapos.cli.lazy import Command
from slapos.cli.output import emit
from slapos.cli.parameters import read_parameters, read_texts
from slapos.cli.views import instance_view
from slapos.cli.waiting import served, wait_until_served
from slapos.model.errors import NotReady
from slapos.model.objects import DEFAULT_SOFTWARE_TYPE, Instance, InstanceRequest
from slapos.model.states import InstanceState

STATES = [str(state) for state in InstanceState]


@click.command(cls=Command, several=("--parameters", "--sla", "--node"))
@click.argument("title", metavar="TITLE")
@click.argument("release", metavar="RELEASE")
@click.option("--type", "software_type", default=DEFAULT_SOFTWARE_TYPE, metavar="TYPE", help="Software type.")
@click.option("--state", type=click.Choice(STATES), help="What it shall be; without it, it stays what it is.")
@click.option("--shared", "--slave", is_flag=True, help="A set of parameters served by another instance.")
@click.option("--sla", "--node", "sla", multiple=True, metavar="KEY=VALUE…", help="Where it may live.")
@click.option(
    "--parameters",
    multiple=True,
    metavar="KEY=VALUE…|FILE",
    help="Texts as key=value, other values as key:=json, or a .json or .yaml file.",
)
@click.option("--parameters-file", metavar="FILE", help="A .json or .yaml file; --parameters override it.")
@click.option(
    "--force-serialisation", type=click.Choice(["xml", "json-in-xml"]), help="Instead of what the release says."
)
@click.option("--wait", is_flag=True, help="Return when it is served, and show what happens meanwhile.")
@click.option(
    "--timeout", type=float, default=3600, show_default=True, metavar="SECONDS", help="How long --wait waits."
)
def request(title: str, release: str, **options: Any) -> None:  # fmt: skip
    """Order an instance of RELEASE called TITLE, or change the one that you have.

    RELEASE is a URL, a path, or the name of a release of the catalogue. All parameters are given each time: those
    that are not, are removed. Exit code 75 says: accepted, not served yet.
    """
    order = make_order(title, release_url(release), options)
    client = open_client()
    instance = client.request(order)
    if options["wait"]:
        instance = wait_until_served(client, instance, options["timeout"])
    emit(dataclasses.asdict(instance), lambda: instance_view(instance))
    if not served(instance):
        raise not_ready(instance)


def make_order(title: str, release: str, options: dict[str, Any]) -> InstanceRequest:
    """The order that the words of the command line mean."""
    values = read_parameters(options["parameters"], options["parameters_file"])
    kind = (options["software_type"], options["shared"])
    return InstanceRequest(
        title=title,
        release=release,
        software_type=options["software_type"],
        parameters=carried(values, release, kind, options["force_serialisation"]),
        sla=read_texts(options["sla"], "sla"),
        state=InstanceState(options["state"]) if options["state"] else None,
        shared=options["shared"],
    )


def not_ready(instance: Instance) -> NotReady:
    return NotReady(
        f"{instance.title} is accepted and not served yet: {instance.sentence or instance.health}",
        context={"reasons": list(instance.reasons)} if instance.reasons else {},
        hint=f"slapos service info {instance.guid}",
    )
