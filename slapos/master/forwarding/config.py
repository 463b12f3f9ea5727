"""The sections ``[multimaster/<url>]`` of ``master.cfg``.

::

    [multimaster/https://other.example.org:8443]
    key = /srv/hyperopenx/other/user.key
    cert = /srv/hyperopenx/other/user.pem
    ca = /srv/hyperopenx/other/ca.pem
    software_release_list =
        https://example.org/website/software.cfg
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from slapos.master.forwarding.plan import OtherMaster, normal_url

PREFIX = "multimaster/"
_OPTIONS = {
    "key": "key",
    "cert": "cert",
    "ca": "ca",
    "software_release_list": "releases",
    "computer": "node",
    "partition": "partition",
    "project": "project",
}


def parse_master(section: str, options: Mapping[str, str], directory: str) -> OtherMaster:
    """ValueError says what is wrong; relative files count from ``directory``."""
    url = normal_url(section.removeprefix(PREFIX))
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise ValueError(f"the option {unknown[0]} is unknown")
    values = {_OPTIONS[name]: value.strip() for name, value in options.items() if name != "software_release_list"}
    for name in ("key", "cert", "ca"):
        if values.get(name):
            values[name] = os.path.join(directory, values[name])
    lines = (line.strip() for line in options.get("software_release_list", "").splitlines())
    found = OtherMaster(url=url, releases=tuple(line for line in lines if line), **values)
    _check(found)
    return found


def _check(other: OtherMaster) -> None:
    if other.url.startswith("https:") and not (other.key and other.cert):
        raise ValueError("key and cert are needed for https")
    if bool(other.key) != bool(other.cert):
        raise ValueError("key and cert belong together")
    if bool(other.node) != bool(other.partition):
        raise ValueError("computer and partition belong together")


def section_lines(other: OtherMaster) -> list[str]:
    """The section as text; :func:`parse_master` reads it back equal."""
    lines = ["", f"[{PREFIX}{other.url}]"]
    for option, name in _OPTIONS.items():
        value = getattr(other, name)
        if option == "software_release_list":
            lines += [f"{option} =", *(f"  {release}" for release in value)]
        elif value:
            lines.append(f"{option} = {value}")
    return lines
