"""How a client reaches a master: written by whoever makes a master, read by the client library."""

from __future__ import annotations

from dataclasses import dataclass

SLAP = "slap"
#: Of ``dialect``: ours, and that of masters which speak only XML.
DIALECTS = ("hyperopenx", SLAP)


@dataclass(frozen=True)
class ClientConfig:
    """A master and the identity to use there; empty file names mean none.  ``path`` is where it was read.

    ``dialect`` ``slap``: the master speaks only the XML protocol of the field, ``rest_url`` then is its HATEOAS address
    where it does not name one itself.
    """

    master_url: str
    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    path: str = ""
    dialect: str = ""
    rest_url: str = ""

    @property
    def foreign(self) -> bool:
        """Whether the master speaks only the XML protocol; who names no dialect and no TLS means such a one."""
        return self.dialect == SLAP or (not self.dialect and self.master_url.startswith("http://"))


def client_config_text(config: ClientConfig) -> str:
    """The text of a configuration file; ``slapos.slap.config.load_client_config`` reads it back."""
    lines = ["[slapos]", f"master_url = {config.master_url}"]
    if config.ca_file:
        lines.append(f"master_ca_file = {config.ca_file}")
    if config.rest_url:
        lines.append(f"master_rest_url = {config.rest_url}")
    if config.dialect:
        lines += ["", "[hyperopenx]", f"dialect = {config.dialect}"]
    if config.cert_file:
        lines += ["", "[slapconsole]", f"cert_file = {config.cert_file}", f"key_file = {config.key_file}"]
    return "\n".join(lines) + "\n"
