"""Calls to our plugin over supervisord's unix socket."""

from __future__ import annotations

import json
import socket
import xmlrpc.client
from typing import Any
from xml.parsers.expat import ExpatError

from slapos.model.errors import Unavailable, from_data

_HEAD = "POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n"
_PIECE = 256 * 1024


def call(path: str, method: str, arguments: dict[str, Any], timeout: float = 30.0) -> Any:
    """The result of one call; the error of the other side is raised here.

    :class:`Unavailable` ``supervisor-unreachable`` when nobody answers within ``timeout`` seconds.
    """
    request = json.dumps({"method": method, "arguments": arguments})
    body = xmlrpc.client.dumps((request,), "hyperopenx.call").encode()
    try:
        ((text,), _) = xmlrpc.client.loads(_exchange(path, body, timeout))
    except (OSError, ExpatError, xmlrpc.client.Error, ValueError) as error:
        raise Unavailable(
            f"The supervisor does not answer at {path}: {error}.",
            reference="supervisor-unreachable",
            context={"socket": path, "method": method, "error": str(error)},
            hint="The node daemon starts it again.",
        ) from error
    data = json.loads(str(text))
    if "error" in data:
        raise from_data(data["error"])
    return data["result"]


def _exchange(path: str, body: bytes, timeout: float) -> bytes:
    """The body of the answer: HTTP/1.0, whose end is the end of the connection.

    Written out, because several questions are asked for each partition and a library for HTTP costs more than they do.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(path)
        connection.sendall(_HEAD.format(len(body)).encode() + body)
        answer = bytearray()
        while piece := connection.recv(_PIECE):
            answer += piece
    head, _, content = bytes(answer).partition(b"\r\n\r\n")
    status = head.split(b"\r\n")[0].decode("latin-1")
    if " 200 " not in f"{status} ":
        raise ValueError(f"its answer is {status!r}")
    return content
