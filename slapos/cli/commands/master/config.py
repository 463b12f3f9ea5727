"""Which master the commands beside this file mean."""

from __future__ import annotations

from slapos.cli.connection import given_cfg
from slapos.cli.site.layout import site_layout
from slapos.master.config import MasterConfig, load_config


def open_master_config() -> MasterConfig:
    """``--cfg``, else the master of this machine's state directory."""
    return load_config(given_cfg() or site_layout().master_config)
