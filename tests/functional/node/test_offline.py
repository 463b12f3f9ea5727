"""Without a master: services go on, what changed is told later, usage is delivered once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from slapos.model.states import Health
from slapos.node import operations
from slapos.node.certificates import renew_own
from slapos.node.partition.apply import PartitionEffects
from slapos.node.partition.observe import observe
from slapos.node.partition.plan import plan_partition
from slapos.node.plan import Kind
from slapos.node.wiring import open_node
from slapos.pki.certificates import describe
from slapos.pki.renewal import renewal_time
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, Site, crash, page, pages_answer


def usage_list(site: Site) -> list[dict[str, str]]:
    found: list[dict[str, str]] = site.operator.call("hyperopenx.allDocs.v0.usage_list", {})["result_list"]
    return found


def test_everything_goes_on_and_is_told_later(site: Site, node: RealNode) -> None:
    site.order(text="here to stay")
    instance = site.wait(sentence="serving")
    before = page(instance)
    site.master.kill()
    crash(instance)
    wait_for(lambda: pages_answer(instance)["pid"] != before["pid"], 20, "the service came back without the master")
    node.kill()
    os.kill(operations.open_supervisor(node.config).pid(), signal.SIGKILL)
    after = page(instance)
    node.start()
    wait_for(operations.open_supervisor(node.config).is_running, 20, "the supervisor runs again")
    assert page(instance)["pid"] == after["pid"], "nothing is restarted because the master or the daemon was away"
    (result,) = [item for item in operations.run_once(node.config, "report") if item["subject"] == instance.partition]
    assert result["settled"] == "ok"
    assert len(os.listdir(os.path.join(node.config.state_directory, "usage"))) >= 1
    site.master.start()
    kept = os.path.join(node.config.state_directory, "usage")
    wait_for(lambda: os.listdir(kept) == [], 90, "the usage was delivered")
    documents = usage_list(site)
    assert documents
    assert len({item["identifier"] for item in documents}) == len(documents)
    assert all(item["node"] == node.reference for item in documents)
    assert "<resource>pages</resource>" in documents[0]["document"]
    site.order(text="told")
    pages_answer(site.wait(sentence="serving"), text="told")


def test_usage_is_delivered_once(site: Site, node: RealNode) -> None:
    site.wait(health=Health.OK)
    before = len(usage_list(site))
    operations.run_once(node.config, "report")
    assert len(usage_list(site)) == before + 1
    operations.run_once(node.config, "instance")
    assert len(usage_list(site)) == before + 1


def test_daemon_ends_on_sigterm_and_services_stay(site: Site, node: RealNode) -> None:
    instance = site.wait()
    before = page(instance)
    assert node.stop() == 0
    assert page(instance) == before
    node.start()
    site.order(text="after the pause")
    assert pages_answer(instance, text="after the pause")["pid"] == before["pid"]


def test_own_certificate_is_renewed_from_half_life(site: Site, node: RealNode) -> None:
    before = describe(Path(node.config.cert_file).read_text())
    assert not renew_own(node.config, time.time())
    assert renew_own(node.config, renewal_time(before) + 1)
    after = describe(Path(node.config.cert_file).read_text())
    assert after.reference == before.reference == node.reference
    assert after.serial != before.serial
    assert after.public_key != before.public_key
    site.order(text="with the new certificate")
    pages_answer(site.wait(), text="with the new certificate")


def test_certificate_of_an_instance_is_renewed_and_nothing_restarts(site: Site, node: RealNode) -> None:
    instance = site.wait()
    path = Path(node.config.certificate_repository_path, f"{instance.partition}.crt")
    before, pid = describe(path.read_text()), page(instance)["pid"]
    made = open_node(node.config)
    later = renewal_time(before) + 60
    wanted, observed = observe(made, instance.partition)
    plan = plan_partition(wanted, observed, later)
    assert "half of its life is over" in [action.reason for action in plan.actions]
    action = next(action for action in plan.actions if action.kind is Kind.CERTIFY)
    PartitionEffects(node=made, place=made.place(instance.partition), wanted=wanted).certify(action)
    assert describe(path.read_text()).serial != before.serial
    operations.run_once(node.config, "instance")
    assert page(instance)["pid"] == pid


def test_only_one_daemon_per_node(site: Site, node: RealNode) -> None:
    second = RealNode.__new__(RealNode)
    second.__dict__.update(node.__dict__)
    second.daemon = None
    second.start()
    assert second.daemon is not None
    assert second.daemon.popen.wait(20) == 5
    assert "has a daemon already" in node.log()
