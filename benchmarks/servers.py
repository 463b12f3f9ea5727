"""The two masters that ``benchmarks/master.py`` compares, set up with the same calls of the XML dialect.

Everything that is sent is made here, as text, before anything is measured.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from slapos.slap.field_client import FieldClient
from slapos.system.processes import run
from slapos.wire import marshal

NODE = "local_computer"
LOAD = Path(__file__).with_name("load.py")
LOAD_SECONDS = 600.0
SETUP_SECONDS = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """What a process used so far, with its children: CPU seconds; its resident memory now, in bytes."""

    cpu: float
    memory: int


def cost_of(pid: int) -> Cost:
    """From ``/proc``."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return Cost(sum(map(int, fields[11:15])) / _TICKS, pages * os.sysconf("SC_PAGE_SIZE"))


@dataclass(frozen=True)
class Tls:
    """Files of a client that proves who it is."""

    ca: str
    certificate: str
    key: str


@dataclass(frozen=True)
class Target:
    """A running master.  ``release`` is one that it may look at.

    ``closing``: each request on a connection of its own.  ``plain_url``: where it is set up, when not at ``url``.
    """

    name: str
    url: str
    pid: int
    release: str
    tls: Tls | None = None
    closing: bool = False
    plain_url: str = ""

    @property
    def client(self) -> FieldClient:
        """For what is not measured."""
        return FieldClient(master_url=self.plain_url or self.url, timeout=SETUP_SECONDS)

    def prepare(self, partitions: int) -> None:
        """A node with so many partitions that holds the release."""
        client = self.client
        document = {
            "reference": NODE,
            "address": "127.0.0.1",
            "netmask": "255.255.255.255",
            "partition_list": [_partition(number) for number in range(partitions)],
        }
        client.post("loadComputerConfigurationFromXML", {"xml": marshal.dumps(document).decode()}, partition=None)
        fields = {"url": self.release, "computer_id": NODE, "state": "available"}
        client.post("supplySupply", fields, partition=None)

    def order(self, title: str) -> str:
        """``requestComputerPartition`` of a root with some parameters, as the real client sends it."""
        values = {"title": title, "_": json.dumps({"replicas": 3, "title": title, "text": "a & b"})}
        fields = {
            "software_release": self.release,
            "software_type": "default",
            "partition_reference": title,
            "shared_xml": _text(False),
            "partition_parameter_xml": _text(values),
            # Who has no certificate orders in the project of the legacy nodes anyway; the operator says it.
            "filter_xml": _text({"project_guid": "legacy"} if self.tls else {}),
            "state": _text("started"),
        }
        body = urlencode(fields)
        head = self._head("POST /requestComputerPartition")
        return f"{head}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"

    def partition_information(self, number: int) -> str:
        """``registerComputerPartition``: what lives in a partition."""
        # Names that nodes gave themselves are known on the legacy listener only.
        query = {
            "computer_reference": "COMP-1" if self.tls else NODE,
            "computer_partition_reference": f"slappart{number}",
        }
        return self._head(f"GET /registerComputerPartition?{urlencode(query)}") + "\r\n"

    def node_information(self) -> str:
        """``getFullComputerInformation``."""
        return self._head(f"GET /getFullComputerInformation?computer_id={NODE}") + "\r\n"

    def _head(self, line: str) -> str:
        closing = "Connection: close\r\n" if self.closing else ""
        return f"{line} HTTP/1.1\r\nHost: {urlsplit(self.url).netloc}\r\nAccept: */*\r\n{closing}"


def _partition(number: int) -> dict[str, Any]:
    addresses = [f"10.{number // 62500}.{number // 250 % 250}.{number % 250 + 1}", f"fd00::{number + 1:x}"]
    masks = ("255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
    return {
        "reference": f"slappart{number}",
        "tap": {"name": f"slaptap{number}"},
        "address_list": [{"addr": addr, "netmask": mask} for addr, mask in zip(addresses, masks, strict=True)],
    }


def _text(value: Any) -> str:
    return marshal.dumps(value).decode()


@dataclass(frozen=True)
class Measured:
    """One run of the load generator: its result, and what the server used meanwhile."""

    clients: int
    seconds: float
    latencies: Sequence[float]
    statuses: Sequence[int]
    bodies: Sequence[str]
    connections: int
    cpu: float
    memory: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.statuses) / self.seconds


def measure(target: Target, requests: Iterable[str], clients: int, *, keep: bool = False) -> Measured:
    """All of ``requests`` by so many clients at once."""
    parts = urlsplit(target.url)
    job: dict[str, Any] = {"host": parts.hostname, "port": parts.port, "clients": clients, "keep": keep}
    job["requests"] = list(requests)
    if target.tls is not None:
        job |= {"ca": target.tls.ca, "certificate": target.tls.certificate, "key": target.tls.key}
    before = cost_of(target.pid)
    with tempfile.TemporaryDirectory(prefix="hoxb") as directory:
        files = [Path(directory, name) for name in ("job.json", "result.json")]
        files[0].write_text(json.dumps(job))
        done = run([sys.executable, str(LOAD), *map(str, files)], timeout=LOAD_SECONDS)
        if done.code != 0:
            raise RuntimeError(f"{target.name}: the load generator failed:\n{done.text}")
        found = json.loads(files[1].read_text())
    after = cost_of(target.pid)
    return Measured(clients=clients, cpu=after.cpu - before.cpu, memory=after.memory, **found)


@dataclass(frozen=True)
class Check:
    """What became of acknowledged orders.

    ``lost``: their partition holds another order now.  ``doubled``: acknowledged with a partition that another order
    was acknowledged with, too.
    """

    acknowledged: int
    lost: int
    doubled: int


def check(target: Target, titles: Sequence[str], found: Measured) -> Check:
    """Look every acknowledged order up."""
    places: dict[str, str] = {}
    for title, status, body in zip(titles, found.statuses, found.bodies, strict=True):
        if status == 200:
            places[title] = str(marshal.loads(body.encode()).state["slap_computer_partition_id"])
    node = target.client.read("getFullComputerInformation", computer_id=NODE)
    holds = {
        partition.arguments[1]: partition.state.get("_parameter_dict", {}).get("instance_title")
        for partition in node.state["_computer_partition_list"]
    }
    lost = sum(holds.get(place) != title for title, place in places.items())
    return Check(len(places), lost, len(places) - len(set(places.values())))


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least ``part`` of them do not exceed."""
    return sorted(values)[math.ceil(part * len(values)) - 1]
