"""The configuration of a node: an INI file whose ``[slapos]`` and ``[slapformat]`` keys are those of the field.

``[hyperopenx]`` holds what only we have.  Unknown keys are kept out of the way: a file written for an existing node
is accepted.
"""

from __future__ import annotations

import configparser
import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from slapos.model.client import DIALECTS, SLAP, ClientConfig
from slapos.model.errors import InputError, NotFound
from slapos.model.text import is_file_name
from slapos.node.metrics.address import parse_metrics_address
from slapos.system.files import atomic_write

_SIZE = re.compile(r"\s*(\d+)\s*([KMGT]?)B?\s*", re.IGNORECASE)
_FACTORS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def _in(section: str, key: str = "", **more: Any) -> Any:
    return field(metadata={"section": section, "key": key}, **more)


def _key(item: dataclasses.Field[Any]) -> str:
    """What an option is called in the file."""
    return item.metadata["key"] or item.name


def _as_root() -> bool:
    return os.geteuid() == 0


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """All that a node is told.  Paths are absolute, durations seconds, sizes bytes.

    ``name`` tells nodes of one machine apart; ``name_prefix`` starts every user and group name, ``node_number``
    (1 to 250) chooses the addresses ``127.<node_number>.<partition + 1>.1``.
    """

    computer_id: str = _in("slapos")
    master_url: str = _in("slapos")
    software_root: str = _in("slapos")
    instance_root: str = _in("slapos")
    shared_part_list: tuple[str, ...] = _in("slapos", default=())
    build_time_part_list: tuple[str, ...] = _in("slapos", default=())
    master_ca_file: str = _in("slapos", default="")
    key_file: str = _in("slapos", default="")
    cert_file: str = _in("slapos", default="")
    certificate_repository_path: str = _in("slapos", default="")
    partition_timeout: float | None = _in("slapos", default=None)
    promise_timeout: float = _in("slapos", default=20.0)
    maximum_periodicity: float = _in("slapos", default=86400.0)
    software_min_free_space: int = _in("slapos", default=1000 * 1024**2)
    instance_min_free_space: int = _in("slapos", default=1000 * 1024**2)
    partition_amount: int = _in("slapformat", default=10)
    partition_base_name: str = _in("slapformat", default="slappart")
    user_base_name: str = _in("slapformat", default="slapuser")
    software_user: str = _in("slapformat", default="slapsoft")
    name_prefix: str = _in("slapformat", default="hox")
    node_number: int = _in("slapformat", default=1)
    ipv4: bool = _in("slapformat", default=True)
    ipv6: bool = _in("slapformat", default=True)
    alter_user: bool = _in("slapformat", default_factory=_as_root)
    alter_network: bool = _in("slapformat", default_factory=_as_root)
    name: str = _in("hyperopenx", default="local")
    dialect: str = _in("hyperopenx", default="")
    poll_period: float = _in("hyperopenx", default=20.0)
    state_directory: str = _in("hyperopenx", default="")
    run_directory: str = _in("hyperopenx", default="")
    log_directory: str = _in("hyperopenx", default="")
    download_cache: str = _in("hyperopenx", default="")
    store_root: tuple[str, ...] = _in("hyperopenx", default=())
    cache_urls: tuple[str, ...] = _in("hyperopenx", default=())
    cache_keys: tuple[str, ...] = _in("hyperopenx", default=())
    cache_revoked_keys: tuple[str, ...] = _in("hyperopenx", default=())
    cache_signatures: int = _in("hyperopenx", default=1)
    workers: int = _in("hyperopenx", default=4)
    build_workers: int = _in("hyperopenx", default=1)
    build_timeout: float | None = _in("hyperopenx", default=None)
    resync_period: float = _in("hyperopenx", default=300.0)
    usage_period: float = _in("hyperopenx", default=3600.0)
    metrics: str = _in("hyperopenx", default="")
    collect_period: float = _in("hyperopenx", default=86400.0)
    collect_grace: float = _in("hyperopenx", default=7 * 86400.0)
    networkcache_dir_url: str = _in("networkcache", "download-dir-url", default="")
    networkcache_cache_url: str = _in("networkcache", "download-cache-url", default="")
    networkcache_certificates: str = _in("networkcache", "signature-certificate-list", default="")

    @property
    def client_config(self) -> ClientConfig:
        """The master and the node's identity there.  An ``http://`` address can only be a master of the field."""
        return ClientConfig(
            master_url=self.master_url,
            cert_file=self.cert_file,
            key_file=self.key_file,
            ca_file=self.master_ca_file,
            dialect=self.dialect,
        )

    @property
    def certified(self) -> bool:
        """Whether instances have certificates: where there is no TLS they would be shown to nobody."""
        return not self.master_url.startswith("http://")

    @property
    def partition_names(self) -> tuple[str, ...]:
        """``slappart0`` … in order."""
        return tuple(f"{self.partition_base_name}{index}" for index in range(self.partition_amount))

    def partition_index(self, partition: str) -> int:
        """The i of ``slappart<i>``; :class:`NotFound` when this node has no such partition."""
        try:
            return self.partition_names.index(partition)
        except ValueError:
            raise NotFound(
                f"The node has no partition {partition!r}; it has {self.partition_amount}.",
                reference="no-such-partition",
                context={"partition": partition, "amount": self.partition_amount},
                hint="See `slapos node status`.",
            ) from None

    def partition_user(self, partition: str) -> str | None:
        """The Unix user of a partition; None when all partitions run as the user of the node."""
        if not self.alter_user:
            return None
        return f"{self.name_prefix}{self.user_base_name}{self.partition_index(partition)}"

    @property
    def software_user_name(self) -> str | None:
        """The Unix user that builds releases; None when it is the user of the node."""
        return f"{self.name_prefix}{self.software_user}" if self.alter_user else None

    def partition_directory(self, partition: str) -> str:
        """``<instance_root>/<partition>``."""
        return os.path.join(self.instance_root, partition)


def parse_size(name: str, text: str) -> int:
    """``1000M`` → bytes (suffixes K, M, G, T are powers of 1024)."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise _invalid(name, text, "a size such as 1000M")
    return int(match.group(1)) * _FACTORS[match.group(2).upper()]


def _invalid(name: str, text: str, expected: str) -> InputError:
    return InputError(
        f"{name}: expected {expected}, not {text!r}.",
        reference="invalid-configuration",
        context={"field": name, "value": text},
        hint="Correct it in the configuration file of the node.",
    )


def _parse_float(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _invalid(name, text, "a number") from None


def _parse_int(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _invalid(name, text, "an integer") from None


def _parse_bool(name: str, text: str) -> bool:
    value = configparser.ConfigParser.BOOLEAN_STATES.get(text.lower())
    if value is None:
        raise _invalid(name, text, "true or false")
    return value


def _parse_optional(name: str, text: str) -> float | None:
    return _parse_float(name, text) if text else None


_PARSERS: Mapping[str, Callable[[str, str], Any]] = {
    "str": lambda name, text: text,
    "int": _parse_int,
    "float": _parse_float,
    "bool": _parse_bool,
    "float | None": _parse_optional,
    "tuple[str, ...]": lambda name, text: tuple(text.split()),
}
_TEXTS = ("networkcache_certificates",)  # of several lines
_SIZES = ("software_min_free_space", "instance_min_free_space")


def _parse(item: dataclasses.Field[Any], text: str) -> Any:
    name = f"[{item.metadata['section']}] {_key(item)}"
    if item.name in _SIZES:
        return parse_size(name, text)
    return _PARSERS[str(item.type)](name, text)


def load_config(path: str) -> NodeConfig:
    """Read ``path``; :class:`NotFound` without it, :class:`InputError` naming the key for a wrong or missing value."""
    parser = configparser.ConfigParser()
    try:
        with open(path, encoding="utf-8") as stream:
            parser.read_file(stream)
    except FileNotFoundError:
        raise NotFound(
            f"There is no node configuration at {path}.",
            reference="no-node-configuration",
            context={"path": path},
            hint="Make one with `slapos node register`.",
        ) from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not a configuration file: {error}",
            reference="invalid-configuration",
            context={"path": path},
            hint="Correct it, or make it anew with `slapos node register`.",
        ) from error
    values: dict[str, Any] = {}
    for item in dataclasses.fields(NodeConfig):
        section = item.metadata["section"]
        if parser.has_option(section, _key(item)):
            values[item.name] = _parse(item, parser.get(section, _key(item)).strip())
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise _invalid(f"[{section}] {_key(item)}", "", "a value")
    return _checked(NodeConfig(**values), path)


def _checked(config: NodeConfig, path: str) -> NodeConfig:
    for name in ("software_root", "instance_root"):
        if not os.path.isabs(getattr(config, name)):
            raise _invalid(f"[slapos] {name}", getattr(config, name), "an absolute path")
    if not all(map(os.path.isabs, config.store_root)):
        raise _invalid("[hyperopenx] store_root", " ".join(config.store_root), "absolute paths")
    _check_master(config)
    parse_metrics_address(config.metrics, "/metrics.sock")
    _check_numbers(config)
    for name in ("name", "partition_base_name"):
        if not is_file_name(getattr(config, name)):
            raise _invalid(name, getattr(config, name), "letters, digits, dots, dashes and underscores")
    base = os.path.dirname(os.path.abspath(path))
    defaults = {
        "state_directory": "state",
        "run_directory": "run",
        "log_directory": "log",
        "certificate_repository_path": "certificates",
        "download_cache": "download-cache",
    }
    absent: dict[str, Any] = {
        key: os.path.join(base, leaf) for key, leaf in defaults.items() if not getattr(config, key)
    }
    if not config.store_root:
        absent["store_root"] = (os.path.join(os.path.dirname(os.path.normpath(config.software_root)), "store"),)
    return dataclasses.replace(config, **absent)


def _check_numbers(config: NodeConfig) -> None:
    if not 1 <= config.node_number <= 250:
        raise _invalid("[slapformat] node_number", str(config.node_number), "a number from 1 to 250")
    for name in ("collect_period", "collect_grace"):
        if not getattr(config, name) >= 0:
            raise _invalid(f"[hyperopenx] {name}", str(getattr(config, name)), "seconds, at least 0")
    if config.cache_signatures < 1:
        raise _invalid("[hyperopenx] cache_signatures", str(config.cache_signatures), "at least 1")
    if not 0 < config.partition_amount <= 250:
        raise _invalid("[slapformat] partition_amount", str(config.partition_amount), "a number from 1 to 250")


def _check_master(config: NodeConfig) -> None:
    if config.dialect and config.dialect not in DIALECTS:
        raise _invalid("[hyperopenx] dialect", config.dialect, " or ".join(DIALECTS))
    if not config.certified and config.dialect not in ("", SLAP):
        raise _invalid("[slapos] master_url", config.master_url, "an https:// address")
    if not config.poll_period >= 1:
        raise _invalid("[hyperopenx] poll_period", str(config.poll_period), "at least 1 second")


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = " ".join(value) if isinstance(value, tuple) else str(value)
    if any(ord(character) < 32 for character in text.replace("\n", "" if name in _TEXTS else "\n")):
        raise _invalid(name, text, "a text without line break")
    return text.replace("%", "%%").replace("\n", "\n  ")


def write_config(path: str, config: NodeConfig) -> None:
    """Write ``config`` so that :func:`load_config` gives it back; mode 0644 (it holds no secret)."""
    lines: list[str] = []
    for section in ("slapos", "slapformat", "hyperopenx", "networkcache"):
        lines.append(f"[{section}]")
        lines += [
            f"{_key(item)} = {_text(item.name, getattr(config, item.name))}".rstrip()
            for item in dataclasses.fields(NodeConfig)
            if item.metadata["section"] == section
        ]
        lines.append("")
    atomic_write(path, "\n".join(lines).encode(), mode=0o644)
