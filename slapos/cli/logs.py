"""The options ``-v -q --log-file --log-color --log-time`` of the existing tool, applied to the loggers of our code."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping


def configure_logs(options: Mapping[str, object]) -> None:
    """Set the level and place of the ``slapos`` loggers; without ``-v`` only warnings are shown."""
    logger = logging.getLogger("slapos")
    verbose = options.get("verbose")
    quiet = logging.ERROR if options.get("quiet") else logging.WARNING
    logger.setLevel({0: quiet, 1: logging.INFO}.get(verbose if isinstance(verbose, int) else 0, logging.DEBUG))
    path = options.get("log_file")
    handler = logging.FileHandler(str(path), encoding="utf-8") if path else logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s" if options.get("log_time") else "%(message)s"))
    logger.handlers[:] = [handler]
    if options.get("log_color") is False:
        os.environ["NO_COLOR"] = "1"
    elif options.get("log_color"):
        os.environ["FORCE_COLOR"] = "1"
