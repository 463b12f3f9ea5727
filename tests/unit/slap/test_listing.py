"""HATEOAS as a client reads it: templates, queries, documents; and answers that are none."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from slapos.model.errors import NotFound, Unavailable
from slapos.model.objects import InstanceRequest
from slapos.model.states import Health, InstanceState
from slapos.slap.field_client import FieldClient
from slapos.slap.foreign import documents
from slapos.slap.foreign.person import ForeignPerson
from slapos.slap.listing import Listing, expand, quoted
from slapos.testing.transport import Canned, Scripted
from slapos.wire import parameter_document

ROOT = {
    "_links": {
        "raw_search": {"href": "http://m/hateoas/?mode=search&query={query}&select_list={select_list}"},
        "traverse": {"href": "http://m/hateoas/?mode=traverse&relative_url={relative_url}&view={view}"},
    }
}


def document(**fields: Any) -> dict[str, Any]:
    view = {f"my_{name}": {"type": "StringField", "key": name, "default": value} for name, value in fields.items()}
    view["form_id"] = {"type": "StringField", "key": "form_id", "default": "x"}
    view["my_hidden"] = {"type": "ListBox", "key": "x", "default": "no"}
    return {"_links": {"type": {"name": "Instance Tree"}}, "_embedded": {"_view": view}}


def rows(*found: dict[str, Any]) -> dict[str, Any]:
    return {"_embedded": {"contents": list(found)}}


def played(*answers: Any) -> tuple[FieldClient, Scripted]:
    canned = [item if isinstance(item, Canned) else Canned(200, json.dumps(item).encode()) for item in answers]
    transport = Scripted(*canned)
    return FieldClient.over(transport, "http://m"), transport


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_templates_and_query_texts() -> None:
    assert expand("/a{x}b{y}{z}", {"x": "1 &é", "y": ["t", "u,v"]}) == "/a1%20%26%C3%A9bt,u%2Cv"
    assert quoted('a"\\b') == '"a\\"\\\\b"'


def test_a_tree_is_searched_by_its_title_and_then_read() -> None:
    found = {"title": 'é "x"', "relative_url": "/hateoas/partitions/x"}
    client, transport = played(
        ROOT, rows({"title": "other", "relative_url": "y"}, found), document(slap_state="started")
    )
    fields = Listing(client=client, url="http://m/hateoas/").tree('é "x"')
    assert fields == {"portal_type": "Instance Tree", "slap_state": "started"}
    search, traverse = (query_of(request.url) for request in transport.seen[1:])
    assert search == {
        "mode": "search",
        "query": 'portal_type:"Instance Tree" AND validation_state:validated AND title:="é \\"x\\""',
        "select_list": "title,relative_url",
    }
    assert traverse["relative_url"] == "/hateoas/partitions/x"


def test_root_document_is_read_once_and_nothing_found_is_not_found() -> None:
    client, transport = played(ROOT, rows())
    listing = Listing(client=client, url="http://m/hateoas/")
    for _ in range(2):
        with pytest.raises(NotFound):
            listing.node("COMP-1")
    assert len(transport.seen) == 3


@pytest.mark.parametrize("answer", [{}, [], {"_links": 1}, {"_links": {"raw_search": {}}}])
def test_a_root_document_without_links_is_none(answer: Any) -> None:
    client, _ = played(answer)
    with pytest.raises(Unavailable) as caught:
        Listing(client=client, url="http://m/hateoas/").search("q", ["a"])
    assert caught.value.reference == "invalid-answer"


@pytest.mark.parametrize("answer", [{}, {"_embedded": {"contents": {}}}, {"_embedded": {"contents": [1]}}])
def test_rows_that_are_none(answer: Any) -> None:
    client, _ = played(ROOT, answer)
    with pytest.raises(Unavailable):
        Listing(client=client, url="http://m/hateoas/").search("q", ["a"])


def test_documents_of_both_kinds_of_master_are_instances() -> None:
    given = {
        "slap_state": "stopped",
        "text_content": parameter_document.dumps({"a": "<1>"}),
        "url_string": "/r",
        "source_reference": "kind",
        "root_slave": 0,
        "reference": "SOFTINST-4",
    }
    proxy = documents.root({**given, "connection_parameter_list": parameter_document.dumps({"u": "1"})}, "t")
    full = documents.root(
        {**given, "connection_parameter_list": [{"connection_key": "u", "connection_value": "1"}]}, "t"
    )
    assert proxy == full
    assert (full.title, full.release, full.software_type, full.state) == ("t", "/r", "kind", InstanceState.STOPPED)
    assert (full.parameters, full.connection, full.guid) == ({"a": "<1>"}, {"u": "1"}, "SOFTINST-4")
    empty = documents.root({"slap_state": "unused", "root_slave": 1}, "s")
    assert (empty.shared, empty.state, empty.parameters, empty.connection) == (True, InstanceState.STARTED, {}, {})


@pytest.mark.parametrize(
    ("said", "health"),
    [
        (["#access fine"], Health.OK),
        (["#access fine", "#error no disk"], Health.ERROR),
        ([], Health.WORKING),
        (["what?"], Health.WORKING),
    ],
)
def test_news_are_the_health_of_a_tree(said: list[str], health: Health) -> None:
    found = documents.root({"slap_state": "started", "news": {"instance": [{"text": text} for text in said]}}, "t")
    assert found.health is health
    assert "no disk" in found.sentence or health is not Health.ERROR


def test_the_address_of_the_lists_is_asked_then_guessed_then_missed() -> None:
    named, transport = played(Canned(200, b"http://m/named/\n"), ROOT, rows())
    assert ForeignPerson(client=named).roots() == ()
    assert transport.seen[1].url == "http://m/named/"
    guessed, transport = played(Canned(404, b""), ROOT, ROOT, rows())
    assert ForeignPerson(client=guessed).roots() == ()
    assert transport.seen[1].url == "http://m/hateoas/"
    without, _ = played(Canned(404, b""))
    with pytest.raises(NotFound) as caught:
        ForeignPerson(client=without).roots()
    assert caught.value.reference == "no-hateoas"
    given, transport = played(ROOT, rows())
    assert ForeignPerson(client=given, rest_url="http://m/given").roots() == ()
    assert transport.seen[0].url == "http://m/given"


def test_what_is_not_there_is_not_destroyed() -> None:
    client, transport = played(ROOT, rows())
    person = ForeignPerson(client=client, rest_url="http://m/hateoas/")
    with pytest.raises(NotFound):
        person.request(InstanceRequest("t", "/r", state=InstanceState.DESTROYED))
    assert {request.method for request in transport.seen} == {"GET"}


def test_an_instance_is_found_by_the_guid_of_its_request_or_not_at_all() -> None:
    client, _ = played(ROOT)
    with pytest.raises(NotFound) as caught:
        ForeignPerson(client=client, rest_url="http://m/").tree(guid="SOFTINST-9")
    assert "title" in str(caught.value)
