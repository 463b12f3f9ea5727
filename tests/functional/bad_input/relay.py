"""A relay between command and master that loses an answer: bytes pass, the reply to a large order does not."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

ORDER_BYTES = 150_000


class LosingRelay:
    """Cuts the first connection on which more than :data:`ORDER_BYTES` were sent, as soon as the answer comes."""

    def __init__(self, port: int) -> None:
        self.port = port  # of the master
        self.lost = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address: int = self.listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        sent = [0]
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            upward = threading.Thread(target=self._upward, args=(client, server, sent), daemon=True)
            upward.start()
            with contextlib.suppress(OSError):
                while data := server.recv(65536):
                    if sent[0] > ORDER_BYTES and not self.lost:
                        self.lost += 1
                        break
                    client.sendall(data)
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            upward.join()

    def _upward(self, client: socket.socket, server: socket.socket, sent: list[int]) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                sent[0] += len(data)
                server.sendall(data)
