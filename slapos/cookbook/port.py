"""``hyperopenx:port`` (also ``free_port``): a port of an address, chosen once and kept."""

from __future__ import annotations

import ipaddress
import os
import time
from typing import Any, ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.places import make_parents
from slapos.cookbook.resource import read_resource
from slapos.model.errors import Conflict
from slapos.system.files import read_json, write_json
from slapos.system.locks import locked
from slapos.system.network import is_port_free

_SHARED = frozenset({"127.0.0.1", "::1", "0.0.0.0", "::"})

_REFRESHED_AFTER = 86400.0  # seconds; a choice that is still used is marked so once a day
_FORGOTTEN_AFTER = 30 * 86400.0  # then its part has gone from the profile


class Port(Recipe):
    """Gives ``port``.  Which part has which port is kept in ``.hyperopenx/ports.json`` of the partition."""

    OPTIONS: ClassVar[dict[str, str]] = {"ip": "mandatory", "minimum": "1024", "maximum": "49151"}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``port`` is only known once the recipe has run."""
        address = options.text("ip")
        try:
            ipaddress.ip_address(address.split("%", 1)[0])
        except ValueError:
            raise options.error("ip", f"{address[:60]!r} is no IP address.", reference="invalid-option") from None
        low, high = options.integer("minimum", 1024), options.integer("maximum", 49151)
        if not 1 <= low <= high <= 65535:
            raise options.error("minimum", f"{low} to {high} is no range of ports.", reference="invalid-option")
        return Description()

    def setup(self) -> None:
        path = os.path.join(self.directory, ".hyperopenx", "ports.json")
        make_parents(path)
        with locked(path + ".lock", timeout=60.0, what="the ports of the partition"):
            known = _choices(read_json(path, {}))
            # A nested profile in the same directory may have a part of the same name.
            key = f"{os.path.basename(str(self.buildout['buildout']['installed']))}:{self.name}"
            port = self._choose(known.get(key, {}), [entry for name, entry in known.items() if name != key])
            if not _is_fresh(known.get(key), self.text("ip"), port):
                entry = {"ip": self.text("ip"), "port": port, "seen": int(time.time())}
                write_json(path, {**known, key: entry}, 0o600)
        self.set("port", str(port))

    def install(self) -> list[str]:
        return []

    def _choose(self, own: dict[str, Any], others: list[dict[str, Any]]) -> int:
        address, (low, high) = self.text("ip"), self._range()
        if own.get("ip") == address and low <= own.get("port", 0) <= high:
            return int(own["port"])  # not probed: our own server may hold it
        oldest = time.time() - _FORGOTTEN_AFTER
        taken = {entry["port"] for entry in others if entry["ip"] == address and entry["seen"] > oldest}
        for port in range(low, high + 1):
            if port not in taken and is_port_free(address, port):
                return port
        raise Conflict(
            f"No port from {low} to {high} of {address} is free for [{self.name}].",
            reference="no-free-port",
            context={"ip": address, "minimum": low, "maximum": high, "section": self.name},
            hint="Check that the address belongs to the partition, or widen the range.",
        )

    def _range(self) -> tuple[int, int]:
        """The option's range; on an address that partitions share, only the block of this partition."""
        low, high = self.integer("minimum", 1024), self.integer("maximum", 49151)
        block = read_resource(self.directory).get("port_range")
        if self.text("ip") in _SHARED and isinstance(block, list) and len(block) == 2:
            return int(block[0]), int(block[1])
        return low, high


def _is_fresh(entry: Any, address: str, port: int) -> bool:
    known = isinstance(entry, dict) and (entry.get("ip"), entry.get("port")) == (address, port)
    return bool(known and time.time() - entry.get("seen", 0) < _REFRESHED_AFTER)


def _choices(data: Any) -> dict[str, dict[str, Any]]:
    """Part → its choice; what is damaged is left out, and chosen again."""
    entries = data.items() if isinstance(data, dict) else ()
    members = {"ip": str, "port": int, "seen": int}
    return {
        name: entry
        for name, entry in entries
        if isinstance(entry, dict) and all(isinstance(entry.get(member), kind) for member, kind in members.items())
    }
