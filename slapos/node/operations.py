"""What the command line does with the node of this machine.  Each function computes; printing is the caller's."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal

from slapos.model.errors import Conflict, HyperopenxError, InputError, Unavailable, machine_error
from slapos.model.objects import Instance, InstanceReport, NodeFormat, SupplyStatus
from slapos.model.states import Health, InstanceState
from slapos.model.trouble import told as told_error
from slapos.node.config import NodeConfig
from slapos.node.context import Node, layout_of, make_client
from slapos.node.desired import Desired
from slapos.node.format import format_node as prepare_machine
from slapos.node.format.plan import FormatAction
from slapos.node.layout import release_key
from slapos.node.metrics.address import parse_metrics_address
from slapos.node.metrics.families import NETWORK_UNCOUNTED
from slapos.node.outbox import Outbox
from slapos.node.partition.cycle import Cycle, plan_now, process_partition
from slapos.node.partition.observe import observe
from slapos.node.partition.promises import check_promises
from slapos.node.partition.report import GRACE
from slapos.node.plan import Action, Plan, plan_lines
from slapos.node.records import load_record, load_release_record, load_store_record, remembered_releases
from slapos.node.software.cycle import ReleaseCycle, plan_release_now, process_release
from slapos.node.store.cycle import plan_store_now, process_store
from slapos.node.store.record import store_record_to_data
from slapos.node.supervisor.events import ask_to_look
from slapos.node.usage import collect_usage, deliver_usage
from slapos.node.wiring import open_node, open_supervisor
from slapos.system.locks import is_locked

#: How long a round by hand waits for what starts, and how often it looks meanwhile.
SETTLE_SECONDS = GRACE + 5.0
SETTLE_STEP = 0.3

log = logging.getLogger("slapos.node")

OnceKind = Literal["software", "instance", "report", "promise"]
Say = Callable[[InstanceReport | SupplyStatus], object]


def format_node(config: NodeConfig, say: Callable[[FormatAction], object] = lambda action: None) -> NodeFormat:
    """Make users, directories and addresses, and describe them to the master; ``say`` hears each action."""
    made = prepare_machine(config, say)
    client = make_client(config)
    try:
        client.format(config.computer_id, made)
    finally:
        client.close()
    return made


def refresh(node: Node) -> bool:
    """Ask the master what it wants; False when it cannot be reached and the last known state is used."""
    try:
        since = node.desired.state.generation if node.desired.known else 0
        node.desired.accept(node.client.node_state(node.config.computer_id, since))
    except Unavailable as error:
        if not node.desired.known:
            raise
        log.warning("%s The last known state counts.", error)
        return False
    return True


def plan_node(config: NodeConfig, only: Iterable[str] = ()) -> list[Plan]:
    """What the daemon would do now, releases first, the store last.

    ``only``: partitions or releases (URL or md5), without the store.
    """
    node = open_node(config, patience=1.0)
    refresh(node)
    names = list(only)
    chosen = _chosen(node, names)
    plans = [plan_release_now(node, release) for release in _releases(node) if chosen(release)]
    plans += [plan_now(node, name) for name in sorted(node.desired.state.partitions) if chosen(name)]
    return plans + ([plan_store_now(node)] if config.collect_period and not names else [])


def prune(config: NodeConfig, grace: float | None = None, dry_run: bool = False) -> tuple[Plan, str]:
    """Remove the parts of the store that nothing uses, or only plan it; the plan, and what became of it in a sentence.

    ``grace``: seconds for which nothing must have used them, the configured ones by default.
    """
    node = open_node(config, patience=1.0)
    if dry_run:
        return plan_store_now(node, grace), ""
    cycle = process_store(node, grace)
    if cycle.outcome.error is not None:
        raise cycle.outcome.error
    return cycle.plan, cycle.sentence


def plan_text(config: NodeConfig, only: Iterable[str] = ()) -> str:
    """The plans as text."""
    return "\n".join(plan_lines(plan_node(config, only)))


def run_once(
    config: NodeConfig,
    kind: OnceKind,
    *,
    only: Iterable[str] = (),
    say: Say = lambda report: None,
    on_action: Callable[[Action], None] | None = None,
) -> list[dict[str, Any]]:
    """One round, as the daemon would do it, in this process; one result per subject.

    A result is ``{"subject", "settled": ok|waiting|failed, "sentence", "actions": [sentence], "error": {…}}``; the
    error as :func:`slapos.model.trouble.told`, empty when the subject did not fail.
    """
    node = open_node(config)
    online = refresh(node)
    outbox = Outbox(node.layout.outbox)

    def told(report: InstanceReport | SupplyStatus) -> None:
        say(report)
        _post(outbox, report)

    try:
        results = _ROUNDS[kind](node, _chosen(node, only), told, on_action)
    finally:
        node.engine.close()
        ask_to_look(open_supervisor(config).event_socket)  # a daemon waits longer after each failure
    if online:
        outbox.deliver(node.client, config.computer_id)
        deliver_usage(node.client, config.computer_id, node.layout.usage)
    return results


Chosen = Callable[[str], bool]
Told = Callable[[InstanceReport | SupplyStatus], None]
OnAction = Callable[[Action], None] | None


def _chosen(node: Node, only: Iterable[str]) -> Chosen:
    names = [name for item in only for name in item.split(",") if name]
    known = set(node.desired.state.partitions) | set(_releases(node))
    known |= {release_key(release) for release in _releases(node)}
    for name in names:
        if name not in known:
            raise InputError(
                f"{name!r} is neither a partition nor a release of this node.",
                reference="unknown-subject",
                context={"field": "only", "value": name},
                hint="See `slapos node status`.",
            )
    return lambda subject: not names or subject in names or release_key(subject) in names


def _post(outbox: Outbox, report: InstanceReport | SupplyStatus) -> None:
    if isinstance(report, InstanceReport):
        outbox.instance(report)
    else:
        outbox.supply(report)


def _releases(node: Node) -> list[str]:
    wished = {supply.release for supply in node.desired.state.supplies}
    return sorted(wished | set(remembered_releases(node.layout)))


def _software(node: Node, chosen: Chosen, told: Told, on_action: OnAction) -> list[dict[str, Any]]:
    return [
        _told_result(release, partial(process_release, node, release, told, on_action), told)
        for release in _releases(node)
        if chosen(release)
    ]


def _instances(node: Node, chosen: Chosen, told: Told, on_action: OnAction) -> list[dict[str, Any]]:
    return [
        _told_result(name, partial(_settle, node, name, told, on_action), told)
        for name in sorted(_formatted(node))
        if chosen(name)
    ]


def _formatted(node: Node) -> Mapping[str, Instance | None]:
    """The partitions; :class:`Conflict` ``not-formatted`` when there are none."""
    if not node.desired.state.partitions:
        raise Conflict(
            f"The node {node.config.computer_id} is not formatted: it has no partitions.",
            reference="not-formatted",
            context={"node": node.config.computer_id},
            hint="Run: slapos node format",
        )
    return node.desired.state.partitions


def _settle(node: Node, name: str, told: Told, on_action: OnAction) -> Cycle:
    """Cycles until the instance is no longer starting."""
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        cycle = process_partition(node, name, told, on_action)
        starting = cycle.report is not None and cycle.report.health is Health.WORKING
        if not starting or time.monotonic() > end:
            return cycle
        time.sleep(SETTLE_STEP)


def _told_result(subject: str, cycle: Callable[[], Cycle | ReleaseCycle], told: Told) -> dict[str, Any]:
    """One subject that fails does not keep the round from the others."""
    try:
        return _result(cycle(), told)
    except (HyperopenxError, OSError) as error:
        known = machine_error(error) if isinstance(error, OSError) else error
        return _plain(subject, "failed", str(known)) | {"error": told_error(known)}


def _result(cycle: Cycle | ReleaseCycle, told: Told) -> dict[str, Any]:
    if cycle.report is not None:
        told(cycle.report)
    error = str(cycle.outcome.error) if cycle.outcome.error else ""
    return {
        "subject": cycle.subject,
        "settled": cycle.settled,
        "sentence": cycle.report.sentence if cycle.report else error,
        "actions": [str(action) for action in cycle.outcome.done],
        "error": {} if cycle.outcome.waiting else told_error(cycle.outcome.error),
    }


def _plain(subject: str, settled: str, sentence: str) -> dict[str, Any]:
    return {"subject": subject, "settled": settled, "sentence": sentence, "actions": [], "error": {}}


def _usage(node: Node, chosen: Chosen, told: Told, on_action: OnAction) -> list[dict[str, Any]]:
    results = []
    for name, instance in sorted(_formatted(node).items()):
        if instance is not None and chosen(name):
            troubles = collect_usage(node, name)
            settled = "failed" if troubles else "ok"
            results.append(_plain(name, settled, "; ".join(troubles)))
    return results


def _promises(node: Node, chosen: Chosen, told: Told, on_action: OnAction) -> list[dict[str, Any]]:
    results = []
    for name, instance in sorted(_formatted(node).items()):
        if instance is None or instance.state is not InstanceState.STARTED or not chosen(name):
            continue
        found = check_promises(node, node.place(name), observe(node, name)[1], force=True)
        failed = [f"promise {item.name}: {item.message}" for item in found if not item.ok]
        sentence = "; ".join(failed) or f"{len(found)} promises ok"
        settled = "failed" if failed else "ok"
        results.append(_plain(name, settled, sentence))
    return results


_ROUNDS: dict[str, Callable[[Node, Chosen, Told, OnAction], list[dict[str, Any]]]] = {
    "software": _software,
    "instance": _instances,
    "report": _usage,
    "promise": _promises,
}


def status(config: NodeConfig) -> dict[str, Any]:
    """What this node has, without asking the master.

    ``{"node", "name", "master_url", "daemon": bool, "supervisor": bool, "releases": […], "partitions": […], "metrics",
    "undelivered": int, "store": {…}}``; each partition has its services with state and pid; the store what is
    remembered of it (:class:`slapos.node.store.record.StoreRecord`).
    """
    paths = layout_of(config)
    desired = Desired(paths.desired)
    services = service_states(config)
    return {
        "node": config.computer_id,
        "name": config.name,
        "master_url": config.master_url,
        "daemon": is_locked(paths.lock),
        "supervisor": services is not None,
        "undelivered": Outbox(paths.outbox).pending(),
        "metrics": {
            "address": str(parse_metrics_address(config.metrics, paths.metrics)),
            "uncounted": {"network": NETWORK_UNCOUNTED},
        },
        "store": store_record_to_data(load_store_record(paths)),
        "releases": [
            {
                "release": supply.release,
                "wanted": str(supply.state),
                "outcome": load_release_record(paths, supply.release).outcome,
                "sentence": load_release_record(paths, supply.release).sentence,
                "log": paths.release_log(supply.release),
            }
            for supply in desired.state.supplies
        ],
        "partitions": [_partition_status(config, desired, name, services or {}) for name in config.partition_names],
    }


def _partition_status(
    config: NodeConfig, desired: Desired, name: str, services: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    instance = desired.instance(name)
    record = load_record(layout_of(config), name)
    return {
        "partition": name,
        "directory": config.partition_directory(name),
        "user": config.partition_user(name) or "",
        "instance": instance.guid if instance else record.guid,
        "title": instance.title if instance else "",
        "wanted": str(instance.state) if instance else "free",
        "run": record.run_outcome,
        "sentence": record.run_sentence,
        "promises": [{"name": item.name, "ok": item.ok, "message": item.message} for item in record.promises],
        "services": [item for key, item in sorted(services.items()) if key.startswith(f"{name}:")],
        "logs": layout_of(config).partition_logs(name),
    }


def service_states(config: NodeConfig) -> dict[str, dict[str, Any]] | None:
    with contextlib.suppress(Unavailable):
        found = open_supervisor(config).services()
        return {
            key: {"name": key.partition(":")[2], "state": str(item.state), "pid": item.pid, "since": item.since}
            for key, item in found.items()
        }
    return None


def stop_services(config: NodeConfig, timeout: float = 90.0) -> None:
    """Stop all services and their supervisor; the next daemon, or round, starts them again."""
    open_supervisor(config).shutdown(timeout)


def bang(config: NodeConfig, message: str = "") -> int:
    """Have every instance of this node processed again."""
    client = make_client(config)
    try:
        return client.bang(config.computer_id, message)
    finally:
        client.close()


def wait_for_daemon(config: NodeConfig, seconds: float = 30.0) -> bool:
    """Whether a daemon holds this node within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not is_locked(layout_of(config).lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
