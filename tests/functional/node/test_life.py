"""The whole life of an instance: ordered, served, changed, crashed, stopped, started, destroyed."""

from __future__ import annotations

import os
import signal

from slapos.model.states import Health
from slapos.node import operations
from slapos.system.leftovers import Tenant, find_leftovers
from slapos.system.users import find_identity
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, Site, crash, page, pages_answer


def test_ordered_is_served_as_the_user_of_its_partition(site: Site, node: RealNode) -> None:
    text = "a ${buildout:directory} {{ x }} %(y)s 'quotes\" ;#\n ☃"
    site.order(text=text)
    instance = site.wait(sentence="serving, 1 promise ok")
    answer = page(instance)
    assert answer["text"] == text
    user = node.config.partition_user(instance.partition)
    identity = find_identity(user) if user else None
    assert answer["uid"] == (identity.uid if identity else os.getuid())
    assert instance.reported_state == "started"
    assert [promise.ok for promise in instance.promises] == [True]


def test_nothing_to_do_afterwards(site: Site, node: RealNode) -> None:
    site.wait()
    plans = operations.plan_node(node.config)
    assert [str(action) for plan in plans for action in plan.actions] == []


def test_changed_parameter_reloads(site: Site, node: RealNode) -> None:
    before = page(site.wait())
    order = site.order(text="changed")
    after = pages_answer(site.wait(after=order.timestamp - 1), text="changed")
    assert after["pid"] == before["pid"]
    assert after["reloads"] == before["reloads"] + 1


def test_changed_argument_restarts(site: Site, node: RealNode) -> None:
    before = page(site.wait())
    site.order(text="changed", greeting="good morning, you $HOME `id`")
    after = pages_answer(site.wait(), greeting="good morning, you $HOME `id`")
    assert after["pid"] != before["pid"]
    assert after["text"] == "changed"


def test_refused_configuration_keeps_the_old_process(site: Site, node: RealNode) -> None:
    before = page(site.wait())
    site.order(text="never", refuse="not like this")
    instance = site.wait(health=Health.ERROR, sentence="refused the new configuration; the old one keeps serving")
    assert "not like this" in instance.sentence
    assert page(instance) == before
    site.order(text="again good")
    assert pages_answer(site.wait(), text="again good")["greeting"] == "none"


def test_failing_promise_is_said_and_forgotten(site: Site, node: RealNode) -> None:
    site.order(text="again good", promise="fail")
    site.wait(health=Health.WORKING, sentence="it was told to fail")
    site.order(text="again good")
    site.wait(sentence="serving")


def test_crashed_service_comes_back(site: Site, node: RealNode) -> None:
    instance = site.wait()
    before = page(instance)
    crash(instance)
    wait_for(lambda: pages_answer(instance)["pid"] != before["pid"], 20, "another process serves")
    site.wait(sentence="serving")


def test_supervisor_killed_is_started_again_and_adopts(site: Site, node: RealNode) -> None:
    instance = site.wait()
    before = page(instance)
    supervisor = operations.open_supervisor(node.config)
    old = supervisor.pid()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: supervisor.is_running() and supervisor.pid() != old, 20, "another supervisor runs")
    assert page(instance)["pid"] == before["pid"]
    crash(instance)
    wait_for(lambda: pages_answer(instance)["pid"] != before["pid"], 20, "another process serves")
    site.wait(sentence="serving")


def test_stopped_and_started_again(site: Site, node: RealNode) -> None:
    site.order(text="again good", state="stopped")
    instance = site.wait(health=Health.STOPPED)
    assert node.services() == {}
    assert instance.reported_state == "stopped"
    assert os.path.exists(os.path.join(node.partition(instance), "etc", "settings.json"))
    site.order(text="again good", state="started")
    pages_answer(site.wait(), text="again good")


def test_destroyed_leaves_nothing(site: Site, node: RealNode) -> None:
    instance = site.wait()
    directory = node.partition(instance)
    paths = [
        directory,
        os.path.join(node.config.log_directory, instance.partition),
        os.path.join(node.config.certificate_repository_path, f"{instance.partition}.key"),
        os.path.join(node.config.certificate_repository_path, f"{instance.partition}.crt"),
    ]
    assert all(os.path.exists(path) for path in paths)
    site.order(state="destroyed")
    wait_for(lambda: os.listdir(directory) == [".slapos-resource"], 30, "the partition is empty")
    wait_for(lambda: not any(os.path.exists(path) for path in paths[1:]), 10, "logs and certificate are gone")
    assert node.services() == {}
    user = node.config.partition_user(instance.partition)
    uid = find_identity(user).uid if user else None  # type: ignore[union-attr]
    assert find_leftovers(Tenant(directory=directory, uid=uid, name=user or "")) == ()
    wait_for(lambda: site.operator.node(node.reference).busy == 0, 20, "the master has the partition back")


def test_next_tenant_gets_the_same_clean_partition(site: Site, node: RealNode) -> None:
    site.order("two", text="second tenant")
    instance = site.wait("two")
    assert page(instance)["text"] == "second tenant"
    site.order("two", state="destroyed")
    wait_for(lambda: site.operator.node(node.reference).busy == 0, 20, "the master has the partition back")
