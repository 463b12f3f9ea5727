"""What a running node says of itself and of its partitions, to monitoring and to the master."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from slapos.node import operations
from slapos.node.context import layout_of
from slapos.node.desired import Desired
from slapos.node.metrics.counters import Counters
from slapos.node.metrics.families import Exposition
from slapos.node.metrics.uses import Uses
from slapos.node.outbox import Outbox
from slapos.node.records import load_record, save_record
from slapos.node.schedule import Schedule
from slapos.node.wiring import open_node
from slapos.pki.certificates import describe
from slapos.pki.files import load_text
from slapos.system.clock import SystemClock
from slapos.testing.scrape import scrape
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, Site, page

Samples = dict[str, dict[tuple[str, ...], float]]


@pytest.fixture(scope="module")
def served(site: Site, node: RealNode) -> Iterator[str]:
    """The partition of an instance that serves."""
    site.order()
    yield site.wait(sentence="serving").partition


def samples(node: RealNode) -> Samples:
    """By name of the sample and values of its labels."""
    time.sleep(1.1)  # an answer is given again within the same second
    found: Samples = {}
    for family in parse(scrape(layout_of(node.config).metrics)):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_the_node_and_its_partition_are_told(site: Site, node: RealNode, served: str) -> None:
    found = samples(node)
    assert found["hyperopenx_node_info"] == {(node.reference, "n1"): 1}
    assert found["hyperopenx_events_connected"] == {(): 1}
    assert time.time() - found["hyperopenx_master_contact_timestamp_seconds"][()] < 60
    assert found["hyperopenx_builds_total"] == {("ok",): 1}
    assert found["hyperopenx_rounds_total"]["partition", "ok"] >= 1
    assert found["hyperopenx_supervisor_restarts_total"] == {(): 0}
    assert found["hyperopenx_queue_subjects"]["partition", "busy"] == 0
    ((labels, _),) = found["hyperopenx_partition_info"].items()
    assert labels[:1] + labels[2:3] == (served, "one")
    ((labels, good),) = found["hyperopenx_promise_ok"].items()
    assert (labels[0], good) == (served, 1)
    assert found["hyperopenx_promise_duration_seconds"][labels] > 0
    expiry = describe(load_text(layout_of(node.config).certificate(served))).not_after
    assert found["hyperopenx_partition_certificate_expiry_timestamp_seconds"] == {(served,): expiry}
    own = describe(load_text(node.config.cert_file)).not_after
    assert found["hyperopenx_node_certificate_expiry_timestamp_seconds"] == {(): own}
    assert found["hyperopenx_daemon_resident_memory_bytes"][()] > 10_000_000


def test_what_a_partition_uses_is_seen(site: Site, node: RealNode, served: str) -> None:
    before = samples(node)
    assert before["hyperopenx_partition_processes"][(served,)] >= 1
    assert before["hyperopenx_partition_resident_memory_bytes"][(served,)] > 1_000_000
    instance = site.wait()

    def busier() -> float:
        for _ in range(50):
            page(instance)
        return samples(node)["hyperopenx_partition_cpu_seconds_total"][(served,)]

    wait_for(
        busier, 30, "more time", until=lambda now: now > before["hyperopenx_partition_cpu_seconds_total"][(served,)]
    )


def test_the_disk_is_measured(site: Site, node: RealNode, served: str) -> None:
    directory = node.config.partition_directory(served)
    with open(os.path.join(directory, "ballast"), "wb") as stream:
        stream.write(os.urandom(5_000_000))
    uses = Uses(config=node.config, layout=layout_of(node.config))
    uses.measure_disks(time.time, lambda: False)
    found = uses.disks()[served]
    assert found.complete
    assert found.size > 5_000_000
    os.unlink(os.path.join(directory, "ballast"))
    assert samples(node)["hyperopenx_partition_disk_bytes"][(served,)] >= 4096, "measured when the daemon started"


def test_the_socket_is_the_operators_alone(node: RealNode, served: str) -> None:
    assert stat.S_IMODE(os.stat(layout_of(node.config).metrics).st_mode) == 0o600


def test_counting_goes_on_over_a_restart_of_the_daemon(site: Site, node: RealNode, served: str) -> None:
    before = samples(node)["hyperopenx_partition_cpu_seconds_total"][(served,)]
    assert node.stop() == 0
    node.start()
    assert samples(node)["hyperopenx_partition_cpu_seconds_total"][(served,)] >= before


def test_a_lost_stream_is_seen(site: Site, node: RealNode, served: str) -> None:
    site.master.kill()
    wait_for(
        lambda: samples(node)["hyperopenx_events_connected"][()], 20, "not connected", until=lambda value: value == 0
    )
    site.master.start()
    wait_for(lambda: samples(node)["hyperopenx_events_connected"][()], 60, "connected", until=lambda value: value == 1)


def test_the_status_says_where_and_what_is_not_counted(node: RealNode) -> None:
    found = operations.status(node.config)["metrics"]
    assert found["address"] == f"unix:{layout_of(node.config).metrics}"
    assert found["uncounted"]["network"].startswith("partitions share")


def test_what_was_used_is_told_to_the_master_once(site: Site, node: RealNode, served: str) -> None:
    instance, layout = site.wait(), layout_of(node.config)
    node.kill()
    uses = Uses(config=node.config, layout=layout)
    guids = {served: instance.guid}
    begin = uses._period.since
    assert begin > 0, "the daemon began the period when it started"
    assert not uses.report(guids, begin + 10), "the period is not over"
    assert uses.report(guids, begin + node.config.usage_period)
    kept = os.listdir(layout.usage)
    node.start()

    def documents() -> list[str]:
        found: list[dict[str, Any]] = site.operator.call("hyperopenx.allDocs.v0.usage_list", {})["result_list"]
        return [item["document"] for item in found if "cpu_seconds" in item["document"]]

    (document,) = wait_for(documents, 60, "the document")
    assert len(kept) == 1
    for resource in ("cpu_seconds", "memory_bytes", "disk_bytes"):
        assert re.search(rf"<resource>{resource}</resource>", document), resource
    assert f"<category>instance/{instance.guid}</category>" in document
    assert f"<reference>{served}</reference>" in document
    memory = re.search(r"memory_bytes</resource>.*?<quantity>([0-9.]+)</quantity>", document, re.DOTALL)
    assert memory is not None
    assert float(memory[1]) > 1_000_000


def test_an_answer_for_two_hundred_partitions_holds_them_all(site: Site, node: RealNode, served: str) -> None:
    """Beyond the pass over /proc; the records of all partitions are those of a real one."""
    layout = layout_of(node.config)
    record = load_record(layout, served)
    real = open_node(node.config)
    instance = real.wanted(served)
    names = [f"slappart{index}" for index in range(200)]
    state = real.desired.state
    desired = Desired("/nonexistent")
    desired._state = type(state)(state.generation, True, state.supplies, dict.fromkeys(names, instance))
    for name in names:
        save_record(layout, name, record)
        shutil.copy(layout.certificate(served), layout.certificate(name) + ".copy")
        os.rename(layout.certificate(name) + ".copy", layout.certificate(name))
    many = type(real)(**{**real.__dict__, "desired": desired})
    exposition = Exposition(
        many, Schedule(SystemClock()), Outbox(layout.outbox), Counters(), Uses(config=node.config, layout=layout)
    )
    exposition.write()
    text = exposition.write()
    for name in ("partition_info", "promise_ok", "partition_certificate_expiry_timestamp_seconds"):
        assert text.count(f"hyperopenx_{name}{{") == 200, name
