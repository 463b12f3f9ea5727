"""``master.cfg``: how a master is set up.

::

    [master]
    state_directory = /srv/hyperopenx/master
    host = 127.0.0.1
    port = 8443
    public_url = https://127.0.0.1:8443
    database_url = sqlite:////srv/hyperopenx/master/master.db
    allowed_release_roots =
        /opt/hyperopenx/catalogue
    allow_private_addresses = false
    server_names = cloud.example.org
    certificate_names = *.sites.example.org
    insecure-legacy-listener = 127.0.0.1:8080 10.0.0.0/24
    message_limit = 10485760

    [products]
    releases =
        website https://example.org/website/2.0/software.cfg
        website https://example.org/website/1.0/software.cfg

Sections of other masters: :mod:`slapos.master.forwarding.config`.
"""

from __future__ import annotations

import configparser
import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from slapos.master import legacy
from slapos.master.forwarding.config import PREFIX, parse_master, section_lines
from slapos.master.forwarding.plan import OtherMaster
from slapos.master.legacy import LegacyListener
from slapos.model.errors import InputError
from slapos.system.files import atomic_write

FILE_NAME = "master.cfg"
_SECTION = "master"
_IN_SECTIONS = {"other_masters", "products"}
_PRODUCTS = "products"
MESSAGE_LIMIT = 10 * 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class MasterConfig:
    """Everything that a master is told.

    ``public_url`` is the address that clients use; ``server_names`` are further names and addresses of its
    certificate; ``certificate_names`` the DNS names that instances may have certified (``*.`` for one label).
    ``message_limit`` is the size of a message in bytes, in every dialect; ``products`` are (name, release), the best
    release of a name first.
    """

    state_directory: str
    host: str = "127.0.0.1"
    port: int = 8443
    database_url: str = ""
    public_url: str = ""
    allowed_release_roots: tuple[str, ...] = ()
    allow_private_addresses: bool = False
    server_names: tuple[str, ...] = ()
    certificate_names: tuple[str, ...] = ()
    client_directory: str = ""
    insecure_legacy_listener: LegacyListener | None = None
    other_masters: tuple[OtherMaster, ...] = ()
    message_limit: int = MESSAGE_LIMIT
    products: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        """The configuration file of this state directory."""
        return os.path.join(self.state_directory, FILE_NAME)

    @property
    def database(self) -> str:
        """The database's URL: as configured, else SQLite in the state directory."""
        return self.database_url or f"sqlite:///{os.path.join(self.state_directory, 'master.db')}"

    @property
    def url(self) -> str:
        """The address that clients use, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"https://{host}:{self.port}").rstrip("/")

    @property
    def client(self) -> str:
        """Where the configuration and certificate of the first operator go."""
        return self.client_directory or os.path.join(os.path.dirname(self.state_directory), "client")

    def below(self, *names: str) -> str:
        """A path in the state directory."""
        return os.path.join(self.state_directory, *names)


@dataclass(frozen=True)
class ServerNames:
    """What the server's certificate is for."""

    addresses: tuple[str, ...] = field(default=())
    names: tuple[str, ...] = field(default=())


def server_names(config: MasterConfig) -> ServerNames:
    """The host that it listens on, that of the public URL, the configured ones, and this machine itself."""
    wanted = [config.host, urlsplit(config.url).hostname or "", *config.server_names, "127.0.0.1", "::1", "localhost"]
    addresses: dict[str, None] = {}
    names: dict[str, None] = {}
    for name in wanted:
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            if name:
                names[name.lower()] = None
            continue
        if not address.is_unspecified:
            addresses[str(address)] = None
    return ServerNames(tuple(addresses), tuple(names))


def load_config(path: str) -> MasterConfig:
    """The configuration in ``path``; :class:`InputError` ``invalid-master-configuration`` names file and option."""
    parser = _parsed(path)
    section = dict(parser[_SECTION])
    unknown = sorted(set(section) - set(MasterConfig.__dataclass_fields__) | set(section) & _IN_SECTIONS)
    if unknown:
        raise _invalid(path, unknown[0], f"the option {unknown[0]} is unknown")
    directory = os.path.dirname(os.path.abspath(path))
    return MasterConfig(
        state_directory=section.get("state_directory", directory),
        host=section.get("host", "127.0.0.1"),
        port=_value(path, section, "port", "8443", _port),
        database_url=section.get("database_url", ""),
        public_url=section.get("public_url", ""),
        allowed_release_roots=_lines(section.get("allowed_release_roots", "")),
        allow_private_addresses=_value(path, section, "allow_private_addresses", "false", _flag),
        server_names=tuple(section.get("server_names", "").split()),
        certificate_names=tuple(section.get("certificate_names", "").split()),
        client_directory=section.get("client_directory", ""),
        insecure_legacy_listener=_value(path, section, "insecure_legacy_listener", "", legacy.parse),
        other_masters=_other_masters(path, parser, directory),
        message_limit=_value(path, section, "message_limit", str(MESSAGE_LIMIT), _limit),
        products=_products(path, parser),
    )


def _parsed(path: str) -> configparser.ConfigParser:
    """The file; a dash in the name of an option is as good as an underscore."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = _option_name  # type: ignore[assignment,method-assign]
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
        parser[_SECTION]
        return parser
    except KeyError as error:
        raise _invalid(path, "section", f"there is no section [{_SECTION}]") from error
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise _invalid(path, "file", str(error).splitlines()[0]) from error


def _other_masters(path: str, parser: configparser.ConfigParser, directory: str) -> tuple[OtherMaster, ...]:
    found: dict[str, OtherMaster] = {}
    for name in parser.sections():
        if not name.startswith(PREFIX):
            continue
        try:
            other = parse_master(name, dict(parser[name]), directory)
        except ValueError as error:
            raise _invalid(path, name, f"[{name}]: {error}") from error
        if other.url in found:
            raise _invalid(path, name, f"[{name}]: {other.url} has a section already")
        found[other.url] = other
    return tuple(found.values())


def _products(path: str, parser: configparser.ConfigParser) -> tuple[tuple[str, str], ...]:
    section = dict(parser[_PRODUCTS]) if parser.has_section(_PRODUCTS) else {}
    unknown = sorted(set(section) - {"releases"})
    if unknown:
        raise _invalid(path, unknown[0], f"[{_PRODUCTS}]: the option {unknown[0]} is unknown")
    found: list[tuple[str, str]] = []
    for line in _lines(section.get("releases", "")):
        words = line.split()
        if len(words) != 2:
            raise _invalid(path, _PRODUCTS, f"[{_PRODUCTS}] releases: {line!r} is not <name> <release>")
        found.append((words[0], words[1]))
    return tuple(found)


def _option_name(name: str) -> str:
    return name.lower().replace("-", "_")


def _value(path: str, section: Mapping[str, str], option: str, default: str, read: Callable[[str], T]) -> T:
    try:
        return read(section.get(option, default))
    except ValueError as error:
        raise _invalid(path, option, f"{option}: {error}") from error


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ValueError(f"{text} is no port")
    return int(text)


def _limit(text: str) -> int:
    if not text.isdecimal() or not 64 * 1024 <= int(text) <= 1024**3:
        raise ValueError(f"{text} is no number of bytes from 65536 to {1024**3}")
    return int(text)


def _flag(text: str) -> bool:
    try:
        return configparser.ConfigParser.BOOLEAN_STATES[text.lower()]
    except KeyError as error:
        raise ValueError(f"{text} is neither true nor false") from error


def write_config(config: MasterConfig) -> None:
    """Write ``config`` to its path; :func:`load_config` reads it back equal."""
    lines = [f"[{_SECTION}]", f"state_directory = {config.state_directory}", f"host = {config.host}"]
    lines += [f"port = {config.port}", f"public_url = {config.public_url}", f"database_url = {config.database_url}"]
    lines += ["allowed_release_roots =", *(f"  {root}" for root in config.allowed_release_roots)]
    lines += [f"allow_private_addresses = {str(config.allow_private_addresses).lower()}"]
    lines += [f"server_names = {' '.join(config.server_names)}"]
    lines += [f"certificate_names = {' '.join(config.certificate_names)}"]
    lines += [f"client_directory = {config.client_directory}"]
    if config.insecure_legacy_listener is not None:
        lines += [f"{legacy.OPTION} = {config.insecure_legacy_listener.text}"]
    lines += [f"message_limit = {config.message_limit}"]
    if config.products:
        lines += [f"[{_PRODUCTS}]", "releases =", *(f"  {name} {release}" for name, release in config.products)]
    lines += [line for other in config.other_masters for line in section_lines(other)]
    # The database's URL may hold a password.
    atomic_write(config.path, "\n".join(lines) + "\n", mode=0o600)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _invalid(path: str, option: str, reason: str) -> InputError:
    return InputError(
        f"{path}: {reason}.",
        reference="invalid-master-configuration",
        context={"field": option, "file": path},
        hint="See docs/reference/configuration.",
    )
