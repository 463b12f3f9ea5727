"""Two masters: one near, which people ask, and one far, which serves what the near one forwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from slapos.master.forwarding.plan import OtherMaster
from slapos.model.errors import NotReady
from slapos.model.objects import Instance, InstanceRequest
from slapos.model.states import InstanceState
from slapos.slap.client import Client
from slapos.slap.field_client import FieldClient
from slapos.testing.master import MasterServer, node_format
from slapos.testing.waiting import wait_for
from slapos.wire import marshal

BY_LEGACY = "https://example.org/by-legacy/software.cfg"
BY_TLS = "https://example.org/by-tls/software.cfg"
HERE = "https://example.org/here/software.cfg"
SECONDS = 60.0  # for what the near master asks for again by itself
PARTITIONS = 60


@dataclass(frozen=True)
class Pair:
    """``near`` forwards :data:`BY_LEGACY` to the legacy listener of ``far``, :data:`BY_TLS` to it as the user alice."""

    near: MasterServer
    far: MasterServer

    def there(self, title: str) -> Instance:
        """The root with this title on the far master."""
        return self.far.operator.instance(title=title)

    def titles_there(self) -> set[str]:
        return {root.title for root in self.far.operator.roots()}

    def find(self, title: str, until: Callable[[Instance], bool]) -> Instance:
        """The root of the near master, once it is so."""
        return wait_for(lambda: self.near.operator.instance(title=title), SECONDS, f"{title} is so", until=until)


def near_master(directory: Any, far: MasterServer, **options: Any) -> MasterServer:
    _, alice = far.enrol("user", "alice")
    alice.close()
    files = far.directory / "clients"
    tls = OtherMaster(
        url=far.url,
        key=str(files / "alice.key"),
        cert=str(files / "alice.pem"),
        ca=far.ca_file,
        releases=(BY_TLS,),
    )
    legacy = OtherMaster(url=far.legacy_url, releases=(BY_LEGACY,))
    return MasterServer(directory, other_masters=(legacy, tls), legacy=True, **options)


def add_legacy_node(master: MasterServer, name: str, partitions: int = PARTITIONS, release: str = BY_LEGACY) -> None:
    """As the node itself does it, without a certificate."""
    client = FieldClient(master_url=master.legacy_url)
    addresses = [{"addr": f"127.9.1.{number + 1}", "netmask": "255.255.255.255"} for number in range(partitions)]
    places = [
        {"reference": f"slappart{number}", "address_list": [address], "tap": {"name": "lo"}}
        for number, address in enumerate(addresses)
    ]
    node = {"reference": name, "address": "127.0.0.1", "netmask": "255.0.0.0", "partition_list": places}
    client.post("loadComputerConfigurationFromXML", {"xml": marshal.dumps(node).decode()})
    client.post("supplySupply", {"url": release, "computer_id": name, "state": "available"})
    client.close()


def add_node(master: MasterServer, release: str, partitions: int = PARTITIONS) -> tuple[str, Client]:
    reference, client = master.client_for_new_node(partitions=0)
    client.format(reference, node_format(partitions))
    master.operator.supply(reference, release)
    return reference, client


@dataclass(frozen=True)
class Answer:
    """What any dialect says of an order; ``node`` is empty while it is pending."""

    node: str
    partition: str
    guid: str
    connection: Mapping[str, str]
    state: str


PENDING = Answer("", "", "", {}, "")
Dialect = Callable[[MasterServer, InstanceRequest], Answer]


def own(master: MasterServer, request: InstanceRequest) -> Answer:
    found = master.operator.request(request)
    if not found.node:
        return PENDING
    return Answer(found.node, found.partition, found.guid, found.connection, found.state.value)


def json_rpc(master: MasterServer, request: InstanceRequest) -> Answer:
    message = {
        "title": request.title,
        "software_release_uri": request.release,
        "software_type": request.software_type,
        "parameters": dict(request.parameters),
        "sla_parameters": dict(request.sla),
        "state": (request.state or InstanceState.STARTED).value,
        "shared": request.shared,
    }
    found = master.operator.call("slapos.post.v0.software_instance", message)
    if "name" in found:
        return PENDING
    place = found["computer_guid"], found["compute_partition_id"]
    return Answer(*place, found["instance_guid"], found["connection_parameters"], found["state"])


def xml(master: MasterServer, request: InstanceRequest) -> Answer:
    files = master.files
    assert files is not None
    client = FieldClient(
        master_url=master.url, key_file=files.key_path, cert_file=files.certificate_path, ca_file=files.ca_path
    )
    try:
        state = client.post("requestComputerPartition", xml_form(request)).state
    except NotReady:
        return PENDING
    finally:
        client.close()
    place = state["slap_computer_id"], state["slap_computer_partition_id"]
    return Answer(*place, state["_instance_guid"], state["_connection_dict"], state["_requested_state"])


def xml_form(request: InstanceRequest) -> dict[str, str | None]:
    return {
        "software_release": request.release,
        "software_type": request.software_type,
        "partition_reference": request.title,
        "shared_xml": marshal.dumps(request.shared).decode(),
        "partition_parameter_xml": marshal.dumps(dict(request.parameters)).decode(),
        "filter_xml": marshal.dumps(dict(request.sla)).decode(),
        "state": marshal.dumps(request.state.value if request.state else None).decode(),
    }


DIALECTS: Mapping[str, Dialect] = {"own": own, "json-rpc": json_rpc, "xml": xml}


def structured(value: object) -> dict[str, str]:
    return {"_": json.dumps(value)}
