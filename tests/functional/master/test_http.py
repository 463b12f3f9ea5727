"""Bodies and headers as no well-meaning client would send them."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from slapos.model.errors import Conflict
from slapos.model.objects import InstanceRequest
from slapos.slap.client import Client
from slapos.testing.master import MasterServer

OWN, FIELD = "hyperopenx.get.v0.instance", "slapos.get.v0.instance_tree"


@dataclass
class Raw:
    """The operator without our client library."""

    connection: HTTPSConnection

    def __call__(self, path: str, body: bytes = b"", method: str = "POST", **headers: str) -> tuple[int, Any, str]:
        sent = {
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        self.connection.request(method, f"/{path}", body or None, sent)
        answer = self.connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data else None, answer.headers["Content-Type"]


@pytest.fixture
def raw(master: MasterServer) -> Iterator[Raw]:
    assert master.files is not None
    context = ssl.create_default_context(cafile=master.ca_file)
    context.load_cert_chain(master.files.certificate_path, master.files.key_path)
    connection = HTTPSConnection("127.0.0.1", master.config.port, context=context, timeout=30)
    yield Raw(connection)
    connection.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"title": "a", "title": "b"}',
        b'{"title": NaN}',
        b"\xff",
        b"[" * 100_000,
        b'{"title": "\\ud800"}',
    ],
)
def test_not_json(raw: Raw, body: bytes) -> None:
    status, problem, kind = raw(OWN, body)
    assert (status, kind) == (400, "application/problem+json")
    assert problem["type"] in ("urn:hyperopenx:invalid-json", "urn:hyperopenx:invalid-text")
    assert problem["hint"]
    status, error, kind = raw(FIELD, body)
    assert (status, kind) == (400, "application/json")
    assert set(error) == {"status", "type", "title"}
    assert (error["status"], error["type"]) == (400, "Bad Request")


def test_wrong_member(raw: Raw) -> None:
    status, problem, _ = raw(OWN, b'{"titel": "a"}')
    assert status == 400
    assert problem["context"]["field"] == "titel"


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large(raw: Raw, chunked: bool) -> None:
    body = b'{"title": "' + b"x" * (10 * 1024 * 1024) + b'"}'
    context = raw.connection
    if chunked:
        context.request(
            "POST",
            f"/{OWN}",
            iter([body[:1000], body[1000:]]),
            {"Content-Type": "application/json"},
            encode_chunked=True,
        )
    else:
        context.request("POST", f"/{OWN}", body, {"Content-Type": "application/json"})
    answer = context.getresponse()
    problem = json.loads(answer.read())
    assert (answer.status, problem["reference"]) == (413, "too-large")


def test_content_type_and_accept(raw: Raw) -> None:
    assert raw(FIELD, b'{"title": "a"}', Content_Type="text/plain")[0] == 415
    assert raw(FIELD, b'{"title": "a"}', Accept="text/html")[0] == 406
    assert (
        raw(FIELD, b'{"title": "a"}', Content_Type="application/json; charset=utf-8", Accept="text/html, */*;q=0.1")[0]
        == 403
    )


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_only_post_calls(raw: Raw, method: str) -> None:
    status, body, _ = raw(OWN, b"", method)
    assert (status, body["reference"]) == (405, "wrong-http-method")


@pytest.mark.parametrize("path", ["nothing", "slapos.get.v0.nothing", "hyperopenx.get.v0", "a/b/c", "%00", "..%2f"])
def test_unknown_method(raw: Raw, path: str) -> None:
    assert raw(path, b"{}")[0] == 404


def test_a_repeated_write_acts_once(operator: Client, master: MasterServer) -> None:
    """64 repetitions at once with one key: one event, one answer."""
    message = {"title": "once", "release": "http://127.0.0.1:9/once", "parameters": {"a": "1"}}
    answers = []

    def send() -> None:
        answers.append(operator.call("hyperopenx.post.v0.instance", message, idempotency_key="one key"))

    threads = [threading.Thread(target=send) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 64
    assert all(answer == answers[0] for answer in answers)
    requested = [event for event in operator.history(answers[0]["guid"]) if event.kind == "requested"]
    assert len(requested) == 1


def test_a_late_repetition_changes_nothing(operator: Client) -> None:
    old = {"title": "late", "release": "http://127.0.0.1:9/late", "parameters": {"a": "1"}}
    first = operator.call("hyperopenx.post.v0.instance", old, idempotency_key="late key")
    operator.request(InstanceRequest("late", "http://127.0.0.1:9/late", parameters={"a": "2"}))
    assert operator.call("hyperopenx.post.v0.instance", old, idempotency_key="late key") == first
    assert operator.instance(title="late").parameters == {"a": "2"}


def test_a_key_is_for_one_message(operator: Client) -> None:
    message = {"title": "reused", "release": "http://127.0.0.1:9/r"}
    operator.call("hyperopenx.post.v0.instance", message, idempotency_key="reused key")
    with pytest.raises(Conflict) as caught:
        operator.call("hyperopenx.post.v0.instance", {**message, "shared": True}, idempotency_key="reused key")
    assert caught.value.reference == "idempotency-key-reused"


def test_a_refused_write_is_not_remembered(operator: Client, raw: Raw) -> None:
    body = json.dumps({"instance_guid": "SOFTINST-99999", "title": "x"}).encode()
    for _ in "12":
        assert raw("hyperopenx.put.v0.title", body, Idempotency_Key="k")[0] == 404


def test_the_log_holds_no_defect(master: MasterServer) -> None:
    """Last on purpose: none of the above was a defect of the master."""
    log = Path(master.directory, "master.log").read_text()
    assert "Traceback" not in log
