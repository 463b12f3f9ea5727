"""The effects of the actions of a release."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from slapos.build.job import Progress
from slapos.build.release import build_job, forget_completion, prepare, record_build, release_directory
from slapos.model.trouble import told
from slapos.node.context import Node
from slapos.node.partition.run import failure
from slapos.node.plan import Action, Effect, Kind
from slapos.node.profile import cache_options, part_lists
from slapos.node.records import forget_release, load_release_record, save_release_record
from slapos.node.software.plan import ReleaseRecord
from slapos.system.below import own_directory
from slapos.system.disk import require_free_space
from slapos.system.files import make_directory
from slapos.system.removal import remove_tree
from slapos.system.users import identity


@dataclass(frozen=True)
class ReleaseEffects:
    """Effects for one release.  ``progress`` is told of each step of a build."""

    node: Node
    release: str
    progress: Callable[[Progress], None]

    def table(self) -> Mapping[Kind, Effect]:
        """Which effect an action has."""
        return {
            Kind.BUILD: self.build,
            Kind.REMOVE_RELEASE: self.remove,
            Kind.FORGET_RELEASE: self.forget,
        }

    @property
    def directory(self) -> str:
        """Of the release."""
        return release_directory(self.node.config.software_root, self.release)

    def build(self, action: Action) -> None:
        """As the software user; a build that is cut stays ``building`` in the memory and is continued."""
        config = self.node.config
        prepare(self.directory, self.release, min_free_space=config.software_min_free_space)
        self._own(self.directory)
        if config.download_cache:
            os.makedirs(config.download_cache, exist_ok=True)
            self._own(config.download_cache)
        self._prepare_stores()
        log = self.node.layout.release_log(self.release)
        os.makedirs(os.path.dirname(log), exist_ok=True)
        self._remember("building", "", load_release_record(self.node.layout, self.release).error)
        job = build_job(
            directory=self.directory,
            url=self.release,
            log=log,
            user=config.software_user_name,
            download_cache=config.download_cache,
            stores=config.store_root,
        )
        options = {**job.overrides["buildout"], **part_lists(config), **cache_options(config)}
        job = dataclasses.replace(job, overrides={"buildout": options}, time_limit=config.build_timeout)
        result = self.node.engine.run(job, self.progress)
        record_build(self.directory, self.release, result)
        if result.outcome == "done":
            self._remember("done", result.sentence)
            return
        error = failure(result, log)
        self._remember("failed", result.sentence, told(error))
        raise error

    def remove(self, action: Action) -> None:
        """From the first moment on nobody takes it for built."""
        with contextlib.suppress(FileNotFoundError):
            forget_completion(self.directory)
        remove_tree(self.directory)

    def forget(self, action: Action) -> None:
        """Neither memory nor log stays."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.node.layout.release_log(self.release))
        forget_release(self.node.layout, self.release)

    def _prepare_stores(self) -> None:
        """A store that does not exist is the build user's, readable by every partition; one that exists stays as it
        is."""
        config = self.node.config
        for root in config.store_root:
            if not os.path.lexists(root):
                make_directory(root, 0o755)
                self._own(root)
                require_free_space(root, config.software_min_free_space)

    def _own(self, directory: str) -> None:
        name = self.node.config.software_user_name
        if name is not None:
            user = identity(name)
            own_directory(directory, user.uid, user.gid, 0o755)

    def _remember(self, outcome: str, sentence: str, error: Mapping[str, Any] = MappingProxyType({})) -> None:
        record = ReleaseRecord(self.release, outcome, sentence, self.node.clock.wall(), error=dict(error))
        save_release_record(self.node.layout, record)
