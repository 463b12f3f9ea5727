"""Programs of a partition that the node runs to their end, as the partition's user."""

from __future__ import annotations

import os
from collections.abc import Sequence

from slapos.model.errors import MachineError
from slapos.node.partition.services import Place, partition_environment
from slapos.system.processes import Completed, Launch, run

PRERM_SECONDS = 3600.0


def run_as_partition(
    place: Place, command: Sequence[str], *, timeout: float, directory: str | None = None
) -> Completed:
    """Run ``command`` in the partition with its environment; its whole tree is ended after ``timeout`` seconds."""
    launch = Launch(
        directory=directory or place.directory,
        environment=partition_environment(place),
        user=place.user if place.switch else None,
        umask=0o027,
    )
    return run(command, launch=launch, timeout=timeout)


def run_prerm(place: Place, script: str) -> None:
    """One pre-destruction script (relative path); :class:`MachineError` ``prerm-failed`` when it does not succeed."""
    done = run_as_partition(place, [os.path.join(place.directory, script)], timeout=PRERM_SECONDS)
    if done.code == 0:
        return
    said = done.text.strip()[-1000:]
    how = "took longer than an hour" if done.timed_out else f"failed with status {done.code}"
    raise MachineError(
        f"The pre-destruction script {script} {how}: {said}",
        reference="prerm-failed",
        context={"partition": place.partition, "script": script, "output": said},
        hint="Nothing was deleted. Correct or remove the script; it is tried again.",
    )
