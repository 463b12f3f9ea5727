"""The classic library, and the client for other masters, with our own master: over TLS and on the legacy listener."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from slapos.model.client import ClientConfig
from slapos.model.errors import NotFound, Refused
from slapos.model.objects import InstanceReport, InstanceRequest, SupplyStatus
from slapos.model.states import Health, InstanceState, SupplyReport, SupplyState
from slapos.node.certificates import certify, renewal_date, still_valid
from slapos.node.layout import Layout
from slapos.pki.certificates import describe
from slapos.slap.client import Client
from slapos.slap.dialect import Asker, open_foreign_person, open_master
from slapos.slap.exception import ConnectionError, NotFoundError, ResourceNotReady
from slapos.slap.field_client import FieldClient
from slapos.slap.slap import slap
from slapos.system.users import own_identity
from slapos.testing.master import MasterServer, node_format

PARTITIONS = 8


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MasterServer]:
    directory = tmp_path_factory.mktemp("classic")
    (directory / "software.cfg").write_text("[buildout]\n")
    with MasterServer(directory, release_roots=[str(directory)], legacy=True) as made:
        yield made


@pytest.fixture(scope="module")
def release(master: MasterServer) -> str:
    return str(master.directory / "software.cfg")


@pytest.fixture(scope="module")
def node(master: MasterServer) -> tuple[str, Client]:
    return master.client_for_new_node("classic", partitions=PARTITIONS)


def files(master: MasterServer, reference: str) -> dict[str, Any]:
    """As scripts of the field pass them."""
    directory = master.directory / "clients"
    return {"key_file": str(directory / f"{reference}.key"), "cert_file": str(directory / f"{reference}.pem")}


def foreign_config(master: MasterServer, key_file: str, cert_file: str) -> ClientConfig:
    """Our master, taken for one that speaks only the slap protocol."""
    return ClientConfig(master.url, cert_file, key_file, master.ca_file, dialect="slap")


def person(master: MasterServer) -> slap:
    assert master.files is not None
    connection = slap()
    connection.initializeConnection(
        master.url,
        key_file=master.files.key_path,
        cert_file=master.files.certificate_path,
        master_ca_file=master.ca_file,
    )
    return connection


def of(master: MasterServer, reference: str) -> slap:
    connection = slap()
    connection.initializeConnection(master.url, master_ca_file=master.ca_file, **files(master, reference))
    return connection


def test_a_service_from_order_to_publication_over_tls(
    master: MasterServer, node: tuple[str, Client], release: str
) -> None:
    reference, client = node
    by_person, by_node = person(master), of(master, reference)
    by_person.registerSupply().supply(release, reference)
    made = by_person.registerOpenOrder().request(
        release, "site", partition_parameter_kw={"text": "<&>é"}, filter_kw={"computer_guid": reference}
    )
    guid = made.getInstanceGuid()
    computer = by_node.registerComputer(reference)
    assert [(item.getURI(), item.getState()) for item in computer.getSoftwareReleaseList()] == [(release, "available")]
    (busy,) = [item for item in computer.getComputerPartitionList() if item.getState() == "started"]
    assert busy.getInstanceGuid() == guid
    assert busy.getInstanceParameterDict()["text"] == "<&>é"

    master.client_for_instance(guid, client)
    by_instance = of(master, guid).registerComputerPartition(reference, busy.getId())
    child = by_instance.request(release, "default", "child", partition_parameter_kw={"a": "1"})
    shared = by_instance.request(release, "default", "part", shared=True, partition_parameter_kw={"b": "2"})
    assert child.getId() != busy.getId()
    assert shared.getInstanceParameterDict()["b"] == "2"
    by_instance.setConnectionDict({"url": "http://x/?a&b"})
    again = by_person.registerOpenOrder().request(release, "site", partition_parameter_kw={"text": "<&>é"})
    assert again.getConnectionParameterDict() == {"url": "http://x/?a&b"}

    by_node.registerComputer(reference).getComputerPartitionList()[0].started()
    assert "site" in by_person.getOpenOrderDict()
    assert by_person.getComputerDict()
    information = by_person.registerOpenOrder().getInformation("site")
    assert information.__dict__["_parameter_dict"] == {"text": "<&>é"}
    assert information.__dict__["_software_release_url"] == release


def test_claims_count_for_nothing_over_tls(master: MasterServer, node: tuple[str, Client], release: str) -> None:
    reference, client = node
    made = master.operator.request(InstanceRequest("alone", release, sla={"computer_guid": reference}))
    master.client_for_instance(made.guid, client)
    stranger = of(master, made.guid).registerComputerPartition(reference, "slappart0")
    with pytest.raises(requests.HTTPError) as caught:
        stranger.setConnectionDict({"url": "http://evil"})
    assert caught.value.response is not None and caught.value.response.status_code == 403


def test_exceptions_of_a_real_master(master: MasterServer, node: tuple[str, Client], release: str) -> None:
    connection = person(master)
    for ask in (
        lambda: connection.registerComputer("COMP-999").getSoftwareReleaseList(),
        lambda: connection.registerSupply().supply(release, "COMP-999"),
        lambda: connection.registerOpenOrder().getInformation("nobody"),
    ):
        with pytest.raises(NotFoundError):
            ask()
    waiting = connection.registerOpenOrder().request(release, "late", filter_kw={"computer_guid": "COMP-999"})
    with pytest.raises(ResourceNotReady):
        waiting.getId()


def test_an_unknown_authority_is_not_believed(
    master: MasterServer, node: tuple[str, Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, _ = node
    connection = slap()
    connection.initializeConnection(master.url, **files(master, reference))
    with pytest.raises(ConnectionError, match="not trusted"):
        connection.registerComputer(reference).getSoftwareReleaseList()
    monkeypatch.setenv("SLAPOS_MASTER_CA_FILE", master.ca_file)
    connection.initializeConnection(master.url, **files(master, reference))
    assert len(connection.registerComputer(reference).getComputerPartitionList()) == PARTITIONS


def test_everybody_is_what_he_says_on_the_legacy_listener(master: MasterServer) -> None:
    connection = slap()
    connection.initializeConnection(master.legacy_url)
    client = FieldClient(master_url=master.legacy_url)
    assert connection.getOpenOrderDict() == {}
    assert client.text("getHateoasUrl").startswith(master.legacy_url)


def test_our_node_works_with_our_master_as_if_it_were_another(
    master: MasterServer, node: tuple[str, Client], release: str
) -> None:
    """What ``dialect = slap`` does, judged by what our own client then reads."""
    reference, own = node
    foreign = open_master(foreign_config(master, **files(master, reference)), Asker(reference))
    foreign.format(reference, node_format(PARTITIONS))
    master.operator.supply(reference, release)
    made = master.operator.request(
        InstanceRequest("as-other", release, parameters={"k": "v"}, sla={"computer_guid": reference})
    )
    state = foreign.node_state(reference)
    expected = own.node_state(reference)
    assert {item.release: item.state for item in state.supplies} == {release: SupplyState.AVAILABLE}
    assert set(state.partitions) == set(expected.partitions)
    for name, known in expected.partitions.items():
        found = state.partitions[name]
        assert (found is None) == (known is None)
        if found is not None and known is not None:
            for field in (
                "guid",
                "title",
                "root_title",
                "release",
                "software_type",
                "state",
                "parameters",
                "timestamp",
            ):
                assert getattr(found, field) == getattr(known, field), field
            assert {item.ip for item in found.addresses} == {item.ip for item in known.addresses}
    foreign.report(
        reference,
        [InstanceReport(made.guid, Health.OK, "serving", "started", made.timestamp)],
        [SupplyStatus(release, SupplyReport.AVAILABLE)],
    )
    assert own.instance(made.guid).reported_state == "started"
    assert master.operator.node(reference).supplies[0].reported is SupplyReport.AVAILABLE
    foreign.report(reference, [InstanceReport(made.guid, Health.ERROR, "promise page: gone", "", made.timestamp)])
    assert "promise page: gone" in own.instance(made.guid).sentence
    foreign.bang(made.guid, "look")
    assert own.instance(made.guid).timestamp > made.timestamp
    foreign.close()


def test_instances_get_the_pair_that_the_master_makes(master: MasterServer, release: str, tmp_path: Path) -> None:
    """A node of ours that joined as those of the field do: ``dialect = slap`` and a key made by the master."""
    token = master.operator.token("node", legacy_keys=True)
    answer = requests.post(
        f"{master.url}/Person_requestComputer",
        {"title": "given"},
        headers={"X-Access-Token": token},
        verify=master.ca_file,
        timeout=30,
    ).json()
    paths = {"key_file": str(tmp_path / "key"), "cert_file": str(tmp_path / "crt")}
    for path, name in ((paths["key_file"], "key"), (paths["cert_file"], "certificate")):
        Path(path).write_text(answer[name])
    reference = describe(answer["certificate"]).reference
    foreign = open_master(foreign_config(master, **paths), Asker(reference))
    foreign.format(reference, node_format(1))
    master.operator.supply(reference, release)
    made = master.operator.request(InstanceRequest("with a pair", release, sla={"computer_guid": reference}))
    layout = Layout(state="", run="", logs="", certificates=str(tmp_path))
    owner = own_identity()
    certify(foreign, layout, (reference, "slappart0"), made.guid, owner)
    assert renewal_date(layout, "slappart0", made.guid, owner, foreign=True) is not None
    assert still_valid(layout, "slappart0", time.time())
    asker = Asker(reference, "slappart0", made.guid)
    pair = {"key_file": layout.key("slappart0"), "cert_file": layout.certificate("slappart0")}
    instance = open_master(foreign_config(master, **pair), asker)
    instance.publish(made.guid, {"url": "x"})
    assert instance.instance(guid=made.guid).connection == {"url": "x"}
    below = instance.request(InstanceRequest("below", release, sla={"computer_guid": reference}))
    assert below.partition == "" and below.reasons, "there is no place: it waits"


def test_a_master_that_makes_no_keys_says_so(
    master: MasterServer, node: tuple[str, Client], release: str, tmp_path: Path
) -> None:
    reference, own = node
    foreign = open_master(foreign_config(master, **files(master, reference)), Asker(reference))
    busy = next(item for item in own.node_state(reference).partitions.values() if item is not None)
    layout = Layout(state="", run="", logs="", certificates=str(tmp_path))
    with pytest.raises(NotFound) as caught:
        certify(foreign, layout, (reference, busy.partition), busy.guid, own_identity())
    assert caught.value.reference == "no-certificate"


def test_our_command_line_s_client_works_with_our_master_as_if_it_were_another(
    master: MasterServer, node: tuple[str, Client], release: str
) -> None:
    assert master.files is not None
    identity = (master.files.certificate_path, master.files.key_path, master.ca_file)
    client = open_foreign_person(ClientConfig(master.url, *identity, dialect="slap"))
    made = client.request(InstanceRequest("by-person", release, parameters={"k": "v"}, sla={"computer_guid": node[0]}))
    assert made.node == node[0]
    assert client.instance(title="by-person").parameters == {"k": "v"}
    assert client.tree(made.guid).instance.release == release
    assert "by-person" in {item.title for item in client.roots()}
    assert node[0] in {item.reference for item in client.nodes()}
    stopped = client.request(InstanceRequest("by-person", release, parameters={"k": "v"}, state=InstanceState.STOPPED))
    assert stopped.state is InstanceState.STOPPED
    anonymous = open_foreign_person(ClientConfig(master.url, ca_file=master.ca_file, dialect="slap"))
    with pytest.raises(Refused):
        anonymous.roots()
