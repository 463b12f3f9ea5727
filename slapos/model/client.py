"""How a client reaches a master: written by whoever makes a master, read by the client library."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClientConfig:
    """A master and the identity to use there; empty file names mean none.  ``path`` is where it was read."""

    master_url: str
    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    path: str = ""


def client_config_text(config: ClientConfig) -> str:
    """The text of a configuration file; ``slapos.slap.config.load_client_config`` reads it back."""
    lines = ["[slapos]", f"master_url = {config.master_url}"]
    if config.ca_file:
        lines.append(f"master_ca_file = {config.ca_file}")
    if config.cert_file:
        lines += ["", "[slapconsole]", f"cert_file = {config.cert_file}", f"key_file = {config.key_file}"]
    return "\n".join(lines) + "\n"
