"""What the client of the XML dialect sends, and what it makes of answers: over a transport that plays a script."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest

from slapos.model.errors import (
    Conflict,
    HyperopenxError,
    InputError,
    NotFound,
    NotReady,
    Refused,
    Unauthenticated,
    Unavailable,
)
from slapos.slap.field_client import FieldClient, base_url
from slapos.testing.transport import Canned, Scripted
from slapos.wire import marshal


def _client(*answers: Canned | Exception, url: str = "https://master/slap") -> tuple[FieldClient, Scripted]:
    transport = Scripted(*answers)
    return FieldClient.over(transport, url), transport


def _ok(value: Any, content_type: str = "text/xml; charset=utf-8") -> Canned:
    return Canned(200, marshal.dumps(value), {"Content-Type": content_type})


def test_read_asks_with_the_arguments_in_the_query() -> None:
    client, transport = _client(_ok({"a": [("t", "10.0.0.1")]}))
    assert client.read("getFullComputerInformation", computer_id="COMP 1/é") == {"a": [("t", "10.0.0.1")]}
    (request,) = transport.seen
    assert request.method == "GET"
    assert request.url == "https://master/slap/getFullComputerInformation?computer_id=COMP+1%2F%C3%A9"
    assert "Authorization" not in request.headers


def test_post_sends_a_form_and_says_on_whose_behalf() -> None:
    client, transport = _client(Canned(200, b"done"), _ok(None))
    fields = {"a": "x&y=é\n", "b": "", "none": None}
    assert client.post("useComputer", fields, partition=("COMP-1", "slappart0")) == "done"
    assert client.post("useComputer", {}) is None
    request, other = transport.seen
    assert request.method == "POST"
    assert parse_qs(request.body.decode(), keep_blank_values=True) == {"a": ["x&y=é\n"], "b": [""]}
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Authorization"] == "X-SlapPartition computer_id=COMP-1, computer_partition_id=slappart0"
    assert "Authorization" not in other.headers


def test_text_and_json_answers() -> None:
    client, transport = _client(Canned(200, "http://x/é".encode()), Canned(200, b'{"a": [1]}'), Canned(200, b"<html>"))
    assert client.text("getHateoasUrl") == "http://x/é"
    assert client.json("https://elsewhere/hateoas") == {"a": [1]}
    with pytest.raises(Unavailable) as caught:
        client.json("hateoas/x")
    assert caught.value.reference == "invalid-answer"
    assert transport.seen[2].url == "https://master/slap/hateoas/x"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InputError),
        (401, Unauthenticated),
        (403, Refused),
        (404, NotFound),
        (405, InputError),
        (408, NotReady),
        (409, Conflict),
        *((status, Unavailable) for status in (500, 501, 502, 503, 504, 520, 523, 524, 526)),
    ],
)
def test_statuses_are_errors_of_the_model(status: int, kind: type[HyperopenxError]) -> None:
    client, transport = _client(Canned(status, b"why\nnot"))
    with pytest.raises(kind) as caught:
        client.read("registerComputerPartition", computer_reference="a", computer_partition_reference="b")
    assert type(caught.value) is kind
    assert caught.value.context["status"] == status
    assert caught.value.context["body"] == "why not"
    assert caught.value.context["address"].endswith("?computer_reference=a&computer_partition_reference=b")
    assert len(transport.seen) == 1


def test_silence_is_told_as_such() -> None:
    client, _ = _client(Unavailable("gone", hint="curl https://master/healthz"))
    with pytest.raises(Unavailable) as caught:
        client.read("x")
    assert caught.value.context["status"] == 0
    assert caught.value.context["address"] == "https://master/slap/x"


@pytest.mark.parametrize("body", [b"<html>login</html>", b"", b"\xff\xfe", b"<marshal><object/></marshal>"])
def test_an_answer_of_somebody_else_is_told_as_such(body: bytes) -> None:
    client, _ = _client(Canned(200, body))
    with pytest.raises(Unavailable) as caught:
        client.read("getFullComputerInformation", computer_id="COMP-1")
    assert caught.value.reference == "invalid-answer"


def test_charset_of_the_answer_counts() -> None:
    body = b"<marshal><string>\xe9</string></marshal>"
    client, _ = _client(Canned(200, body, {"Content-Type": "text/html; charset=ISO-8859-1"}))
    assert client.read("x") == "é"
    unknown, _ = _client(Canned(200, body, {"Content-Type": "text/html; charset=klingon"}))
    with pytest.raises(Unavailable):
        unknown.read("x")


def test_redirections_are_followed_but_not_out_of_tls_nor_for_ever() -> None:
    client, transport = _client(Canned(302, b"", {"Location": "../other?x=1"}), _ok(1))
    assert client.read("a/b") == 1
    assert [request.url for request in transport.seen] == ["https://master/slap/a/b", "https://master/slap/other?x=1"]
    plain, _ = _client(Canned(302, b"", {"Location": "http://master/"}))
    with pytest.raises(Unavailable, match="TLS"):
        plain.read("a")
    endless, transport = _client(Canned(302, b"", {"Location": "/again"}))
    with pytest.raises(Unavailable):
        endless.read("a")
    assert len(transport.seen) == 6


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://m", "https://m/"),
        ("https://m:5000/a/b", "https://m:5000/a/b/"),
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000/"),
        ("http://::1/slap", "http://[::1]/slap/"),
        ("http://[::1]:5000", "http://[::1]:5000/"),
    ],
)
def test_base_of_a_master(given: str, base: str) -> None:
    assert base_url(given) == base


@pytest.mark.parametrize("given", ["", "m", "ftp://m/", "http://", "http://m:x/", "file:///etc/passwd"])
def test_what_is_no_master_is_refused(given: str) -> None:
    with pytest.raises(InputError) as caught:
        base_url(given)
    assert caught.value.reference == "invalid-url"
