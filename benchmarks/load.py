"""A cheap load generator, in a process of its own so that no benchmark measures it: bytes out, bytes in.

    python benchmarks/load.py job.json result.json

The job: ``host``, ``port``, ``clients``, ``requests`` (whole HTTP requests as text), ``keep`` (whether the bodies of
the answers are wanted), and for TLS ``ca``, ``certificate``, ``key``.  Each client sends one request, waits for its
answer, and takes the next one of the list; it keeps its connection for as long as the server does.  The result:
``seconds`` of all, ``latencies`` (s), ``statuses``, ``bodies`` in the order of the requests, and ``connections``.
"""

from __future__ import annotations

import asyncio
import functools
import json
import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop


@dataclass
class Run:
    """The requests that are left, and what was answered."""

    requests: list[bytes]
    keep: bool
    latencies: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    connections: int = 0
    left: Iterator[int] = field(default_factory=lambda: iter(()))

    def __post_init__(self) -> None:
        amount = len(self.requests)
        self.latencies, self.statuses, self.bodies = [0.0] * amount, [0] * amount, [""] * amount
        self.left = iter(range(amount))


class Client(asyncio.Protocol):
    """One connection; ``done`` is resolved when the server closed it or nothing is left to ask."""

    def __init__(self, run: Run, first: int) -> None:
        self.done: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._run = run
        self._number = first
        self._asked = 0.0
        self._chunks: list[bytes] = []
        self._missing = -1  # bytes of the body; -1 while the head is not complete
        self._ends = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._run.connections += 1
        self._ask()

    def _ask(self) -> None:
        self._chunks, self._missing = [], -1
        self._asked = time.perf_counter()
        self._transport.write(self._run.requests[self._number])

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        if self._missing < 0:
            data = b"".join(self._chunks)
            head, separator, body = data.partition(b"\r\n\r\n")
            if not separator:
                return
            self._chunks = [body]
            self._missing = self._read_head(head) - len(body)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._answered()

    def _read_head(self, head: bytes) -> int:
        lines = head.lower().split(b"\r\n")
        self._run.statuses[self._number] = int(lines[0].split()[1])
        fields = dict(line.split(b": ", 1) for line in lines[1:])
        self._ends = fields.get(b"connection") == b"close" or lines[0].startswith(b"http/1.0")
        return int(fields.get(b"content-length", 1 << 60))  # without a length the body ends with the connection

    def _answered(self) -> None:
        self._run.latencies[self._number] = time.perf_counter() - self._asked
        if self._run.keep:
            self._run.bodies[self._number] = b"".join(self._chunks).decode()
        following = next(self._run.left, None)
        if following is None or self._ends:
            self._transport.close()
            self.done.set_result(following)
            return
        self._number = following
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            if self._missing > 1 << 50:
                self._ends = True
                self._answered()
            else:
                self.done.set_exception(error or ConnectionError("The server closed without an answer."))


async def drive(run: Run, job: dict[str, Any]) -> float:
    """Seconds of all clients together."""
    context = None
    if job.get("ca"):
        context = ssl.create_default_context(cafile=job["ca"])
        context.load_cert_chain(job["certificate"], job["key"])
    loop = asyncio.get_running_loop()

    async def one() -> None:
        number = next(run.left, None)
        while number is not None:
            make = functools.partial(Client, run, number)
            _, client = await loop.create_connection(make, job["host"], job["port"], ssl=context)
            number = await client.done

    begin = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(job["clients"])))
    return time.perf_counter() - begin


def main() -> int:
    job = json.loads(Path(sys.argv[1]).read_text())
    run = Run([text.encode() for text in job["requests"]], job.get("keep", False))
    seconds = uvloop.run(drive(run, job))
    result = {
        "seconds": seconds,
        "latencies": run.latencies,
        "statuses": run.statuses,
        "bodies": run.bodies,
        "connections": run.connections,
    }
    Path(sys.argv[2]).write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
