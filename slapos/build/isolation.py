"""What a process of the warm server does to itself before it works for somebody."""

from __future__ import annotations

import os
import random
import resource

from slapos.build.job import Job
from slapos.build.run import clean_environment
from slapos.model.errors import MachineError
from slapos.system.users import identity

MARKER_VARIABLE = "HYPEROPENX_RUN"
"""Set in each process of a run, so that what a killed run left is found."""


def become(job: Job, marker: str) -> None:
    """Take the user, environment, umask, limits and directory of a job."""
    if job.user is not None:
        _switch_user(job.user)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ.clear()
    os.environ.update(clean_environment(job, job.directory) | {MARKER_VARIABLE: marker})
    os.umask(job.umask)
    random.seed()
    try:
        os.chdir(job.directory)
    except OSError as error:
        raise MachineError(
            f"{job.directory} cannot be entered: {error.strerror}.",
            reference="unusable-directory",
            context={"directory": job.directory, "user": job.user or ""},
        ) from error


def _switch_user(name: str) -> None:
    user = identity(name)
    if (os.geteuid(), os.getegid()) == (user.uid, user.gid) and user.uid != 0:
        return
    try:
        os.setgroups(user.groups)
        os.setgid(user.gid)
        os.setuid(user.uid)
    except PermissionError as error:
        raise MachineError(
            f"This process may not become the user {name}.",
            reference="cannot-switch-user",
            context={"user": name},
            hint="Start the node as root, or configure it to use no users of its own.",
        ) from error
