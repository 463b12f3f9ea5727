"""The stores of this machine that a command looks into."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from slapos.slap.config import state_directory

if TYPE_CHECKING:
    from slapos.build.store.store import Store


def chosen_stores(given: Sequence[str]) -> list[Store]:
    """One for each directory that a person named; else all that are below the state directory."""
    from slapos.build.store.store import Store

    top = glob.escape(state_directory())
    known = [*glob.glob(os.path.join(top, "node", "*", "store")), os.path.join(state_directory(), "build", "store")]
    directories = [os.path.abspath(path) for path in given] or [path for path in sorted(known) if os.path.isdir(path)]
    return [Store((directory,)) for directory in directories]
