"""The effects of formatting, one function for each kind of action."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping

from slapos.node.config import NodeConfig
from slapos.node.format.observe import record_path
from slapos.node.format.plan import FormatAction, FormatKind, FormatPlan
from slapos.system.accounts import join_group, make_user
from slapos.system.below import own_directory, write_below
from slapos.system.files import make_directory, write_json
from slapos.system.network import add_address
from slapos.system.users import identity


def apply_format(config: NodeConfig, plan: FormatPlan, say: Callable[[FormatAction], object]) -> None:
    """In order; stops at the first failure.  Applied again, the plan made then holds the rest."""
    for action in plan.actions:
        say(action)
        _EFFECTS[action.kind](config, action)


def _record(config: NodeConfig, action: FormatAction) -> None:
    make_directory(config.state_directory, 0o700)
    write_json(record_path(config), action.details["record"], 0o600)


def _make_user(_config: NodeConfig, action: FormatAction) -> None:
    make_user(action.subject, action.details["home"], tuple(action.details["groups"]))


def _join_group(_config: NodeConfig, action: FormatAction) -> None:
    join_group(action.subject, action.details["group"])


def _directory(_config: NodeConfig, action: FormatAction) -> None:
    """Never follows a link; what lies in the directory is left alone."""
    if action.kind is FormatKind.MAKE_DIRECTORY:
        make_directory(action.subject, action.details["mode"])
    user = action.details["user"]
    who = None if user is None else identity(user)
    uid, gid = (os.geteuid(), os.getegid()) if who is None else (who.uid, who.gid)
    own_directory(action.subject, uid, gid, action.details["mode"])


def _add_address(_config: NodeConfig, action: FormatAction) -> None:
    add_address(action.details["interface"], action.subject)


def _describe(_config: NodeConfig, action: FormatAction) -> None:
    text = json.dumps(action.details["document"], indent=4, sort_keys=True)
    write_below(action.details["partition"], ".slapos-resource", text, mode=0o644)


_EFFECTS: Mapping[FormatKind, Callable[[NodeConfig, FormatAction], None]] = {
    FormatKind.RECORD: _record,
    FormatKind.MAKE_USER: _make_user,
    FormatKind.JOIN_GROUP: _join_group,
    FormatKind.MAKE_DIRECTORY: _directory,
    FormatKind.OWN_DIRECTORY: _directory,
    FormatKind.ADD_ADDRESS: _add_address,
    FormatKind.DESCRIBE: _describe,
}
