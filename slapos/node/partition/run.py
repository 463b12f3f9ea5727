"""One run of buildout in a partition: the engine does it, the node remembers with what and how it ended."""

from __future__ import annotations

import os

from slapos.build.job import Job, Result
from slapos.build.own_buildout import brought_buildout
from slapos.build.release import release_directory
from slapos.model.errors import BuildFailed, HyperopenxError, NotReady, from_data
from slapos.model.trouble import told
from slapos.node import layout
from slapos.node.context import Node
from slapos.node.goals.observed import Wanted
from slapos.node.partition.services import Place, partition_environment
from slapos.node.records import change_record, load_record
from slapos.system.below import unlink_below
from slapos.system.disk import require_free_space


def run_instance(node: Node, place: Place, wanted: Wanted) -> None:
    """Run, remember; :class:`NotReady` when it waits, the error of the engine when it fails.

    A run that is cut leaves ``running`` in the memory, so that it is done again.
    """
    require_free_space(place.directory, node.config.instance_min_free_space)
    unlink_below(place.directory, layout.transaction_file(place.partition))
    known = load_record(node.layout, place.partition)
    inputs, renewed = dict(wanted.inputs), dict(wanted.inputs) != dict(known.run_inputs)
    begin = node.clock.wall() if renewed else known.renewed_at
    change_record(node.layout, place.partition, run_inputs=inputs, run_outcome="running", renewed_at=begin)
    result = node.engine.run(make_job(node, place, wanted), None)
    outcome = result.outcome if result.outcome in ("done", "waiting", "timeout", "interrupted") else "failed"
    error = failure(result, node.layout.run_log(place.partition)) if outcome != "done" else None
    change_record(
        node.layout,
        place.partition,
        run_outcome=outcome,
        run_sentence=result.sentence,
        run_error={} if isinstance(error, NotReady) else told(error),
        run_at=node.clock.wall(),
        renewed_at=node.clock.wall() if renewed else begin,
    )
    if error is not None:
        raise error


def make_job(node: Node, place: Place, wanted: Wanted) -> Job:
    """What the engine is asked."""
    os.makedirs(place.logs, mode=0o755, exist_ok=True)
    return Job(
        kind="instance",
        directory=place.directory,
        profile=os.path.join(place.directory, layout.PROFILE),
        log=node.layout.run_log(place.partition),
        user=place.user.name if place.switch else None,
        environment=partition_environment(place) | _environment_of_recipes(node),
        time_limit=node.config.partition_timeout,
        label=wanted.instance.title,
        own=brought_buildout(release_directory(node.config.software_root, wanted.instance.release)),
    )


def _environment_of_recipes(node: Node) -> dict[str, str]:
    """What the classic library reads (spec/04 §9), and where it finds the authority of the master."""
    found = {"SLAPGRID_INSTANCE_ROOT": node.config.instance_root}
    return found | ({"SLAPOS_MASTER_CA_FILE": node.layout.authority} if node.config.master_ca_file else {})


def failure(result: Result, log: str) -> HyperopenxError:
    """The error of a run that did not succeed."""
    if result.outcome == "waiting":
        return NotReady(result.sentence, reference="waiting", context={"log": log})
    if result.error:
        return from_data(result.error)
    hint = f"The whole log is in {log}"
    return BuildFailed(result.sentence, reference=f"run-{result.outcome}", context={"log": log}, hint=hint)
