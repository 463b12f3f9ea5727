"""The real networkcache client takes from our server what was signed for it, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import requests

from slapos.build.cache.networkcache import file_key
from slapos.testing.peers import PeerMachine
from tests.functional.cache.servers import cache_server
from tests.functional.cache.test_networkcache import DATA, SHA512, UPLOAD, URL, Signer, put

CONFIGURATION = """
[networkcache]
download-dir-url = {url}/shadir
download-cache-url = {url}/shacache
signature-certificate-list =
  {certificate}
"""


def configuration(machine: PeerMachine, name: str, url: str, signer: Signer) -> str:
    certificate = signer.crt.read_text().strip().replace("\n", "\n  ")
    return machine.write(name, CONFIGURATION.format(url=url, certificate=certificate))


def test_the_real_client_reads_from_us(tmp_path: Path) -> None:
    signer, other = Signer(tmp_path, "signer"), Signer(tmp_path, "other")
    with cache_server(tmp_path / "served") as url, PeerMachine() as machine:
        believing = configuration(machine, "believing.cfg", url, signer)
        doubting = configuration(machine, "doubting.cfg", url, other)
        answer = requests.post(f"{url}/shacache", data=DATA, headers=UPLOAD, timeout=10)
        assert (answer.status_code, answer.text) == (201, SHA512)
        assert put(url, file_key(URL), signer.pair(sha512=SHA512, url=URL, number=7)).status_code == 201

        listed = machine.run("networkcache-download", "-c", believing, "-u", URL, "-l")
        assert listed.code == 0, listed.text
        assert json.loads(listed.text) == [{"number": 7, "sha512": SHA512, "url": URL}]
        fetched = machine.run("networkcache-download", "-c", believing, "-u", URL, "number>=3")
        assert (fetched.code, fetched.output) == (0, DATA)
        refused = machine.run("networkcache-download", "-c", doubting, "-u", URL)
        assert refused.code == 1 and "No result found" in refused.text
        (tmp_path / "served/networkcache/cache" / SHA512).write_bytes(b"x" * len(DATA))
        changed = machine.run("networkcache-download", "-c", believing, "-u", URL)
        assert changed.code != 0
        absent = machine.run("networkcache-download", "-c", believing, "-k", "absent")
        assert absent.code != 0 and "404" in absent.text
