"""Orders instances from eight threads until it is killed; each acknowledged one is a line on stdout.

python -m tests.functional.master_storage.writing_process <database url> <prefix>
"""

from __future__ import annotations

import itertools
import os
import sys
import threading

from slapos.master.services.requests import request_instance
from slapos.master.storage.database import Storage, open_storage
from slapos.model.objects import Instance, InstanceRequest
from tests.unit.master.world import OPERATOR, RELEASE, START

THREADS = 8


def order(storage: Storage, title: str) -> Instance:
    request = InstanceRequest(title, RELEASE, parameters={"padding": "x" * 200})
    return storage.write(lambda tx: request_instance(tx, OPERATOR, request, now=START))


def main(url: str, prefix: str) -> None:
    storage = open_storage(url)
    numbers = itertools.count()

    def client() -> None:
        while True:
            title = f"{prefix}-{next(numbers)}"
            instance = order(storage, title)
            os.write(1, f"{title} {instance.guid} {instance.node}/{instance.partition}\n".encode())

    threads = [threading.Thread(target=client) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
