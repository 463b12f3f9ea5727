"""Calls to our plugin over supervisord's unix socket."""

from __future__ import annotations

import http.client
import json
import socket
import xmlrpc.client
from typing import Any
from xml.parsers.expat import ExpatError

from slapos.model.errors import Unavailable, from_data


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(self.path)
        except BaseException:
            self.sock.close()
            raise


def call(path: str, method: str, arguments: dict[str, Any], timeout: float = 30.0) -> Any:
    """The result of one call; the error of the other side is raised here.

    :class:`Unavailable` ``supervisor-unreachable`` when nobody answers within ``timeout`` seconds.
    """
    request = json.dumps({"method": method, "arguments": arguments})
    body = xmlrpc.client.dumps((request,), "hyperopenx.call").encode()
    connection = _Connection(path, timeout)
    try:
        connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
        answer = connection.getresponse().read()
        ((text,), _) = xmlrpc.client.loads(answer)
    except (OSError, http.client.HTTPException, ExpatError, xmlrpc.client.Error, ValueError) as error:
        raise Unavailable(
            f"The supervisor does not answer at {path}: {error}.",
            reference="supervisor-unreachable",
            context={"socket": path, "method": method, "error": str(error)},
            hint="The node daemon starts it again.",
        ) from error
    finally:
        connection.close()
    data = json.loads(str(text))
    if "error" in data:
        raise from_data(data["error"])
    return data["result"]
