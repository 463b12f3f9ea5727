"""The XML dialect without our client library: one connection, statuses and bytes as they come."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from slapos.testing.master import MasterServer
from slapos.wire import marshal
from slapos.wire.marshal import FieldObject

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Reply:
    """What came back; ``value`` is the marshalled one, else the text."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def value(self) -> Any:
        assert self.status == 200, self.body
        assert self.headers["content-type"] == "text/xml; charset=utf-8"
        return marshal.loads(self.body)

    @property
    def state(self) -> dict[str, Any]:
        """The attributes of an object."""
        value = self.value
        assert isinstance(value, FieldObject)
        return value.state

    @property
    def text(self) -> str:
        assert self.headers["content-type"] == "text/plain; charset=utf-8"
        return self.body.decode()


class Xml:
    """Somebody who calls endpoints; ``partition`` goes into the Authorization header."""

    def __init__(self, connection: HTTPConnection) -> None:
        self.connection = connection

    def get(self, endpoint: str, headers: dict[str, str] | None = None, /, **arguments: str) -> Reply:
        query = f"?{urlencode(arguments)}" if arguments else ""
        return self.send("GET", f"/{endpoint}{query}", b"", headers or {})

    def post(self, endpoint: str, partition: tuple[str, str] | None = None, /, **fields: Any) -> Reply:
        """Fields that are no text are marshalled."""
        form = {name: value if isinstance(value, str) else marshal.dumps(value) for name, value in fields.items()}
        headers = dict(FORM)
        if partition is not None:
            headers["Authorization"] = (
                f"X-SlapPartition computer_id={partition[0]}, computer_partition_id={partition[1]}"
            )
        return self.send("POST", f"/{endpoint}", urlencode(form).encode(), headers)

    def send(self, verb: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        self.connection.request(verb, path, body or None, headers)
        answer = self.connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, answer.read(), found)

    def request(self, title: str, release: str, **fields: Any) -> Reply:
        """An order with the fields that a client always sends."""
        wanted = {
            "software_release": release,
            "software_type": "default",
            "partition_reference": title,
            "partition_parameter_xml": {},
            "filter_xml": {},
            "state": marshal.dumps(None).decode(),
            "shared_xml": False,
        }
        return self.post("requestComputerPartition", **{**wanted, **fields})

    def close(self) -> None:
        self.connection.close()


def certified(master: MasterServer, name: str) -> Xml:
    """With the certificate that ``enrol`` or ``client_for_instance`` made; "" for the operator, "-" for nobody."""
    context = ssl.create_default_context(cafile=master.ca_file)
    directory = master.directory / "clients"
    if not name:
        assert master.files is not None
        context.load_cert_chain(master.files.certificate_path, master.files.key_path)
    elif name != "-":
        context.load_cert_chain(str(directory / f"{name}.pem"), str(directory / f"{name}.key"))
    return Xml(HTTPSConnection("127.0.0.1", master.config.port, context=context, timeout=60))


def unproven(master: MasterServer) -> Xml:
    """On the legacy listener."""
    parts = urlsplit(master.legacy_url)
    return Xml(HTTPConnection(parts.hostname or "", parts.port, timeout=60))
