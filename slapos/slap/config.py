"""Where a client finds its master: ``slapos-client.cfg`` (names of the field, spec/05 §7).

::

    [slapos]
    master_url = https://127.0.0.1:8443
    master_ca_file = /path/ca.pem
    [slapconsole]
    cert_file = /path/user.pem
    key_file = /path/user.key

A master that speaks only the XML protocol of the field needs ``dialect = slap`` in ``[hyperopenx]``; then, and only
then, an ``http://`` address is taken.  ``master_rest_url`` of ``[slapos]`` is its HATEOAS address if it names none.
"""

from __future__ import annotations

import configparser
import os

from slapos.model.client import DIALECTS, SLAP, ClientConfig, client_config_text
from slapos.model.errors import InputError

__all__ = ["ClientConfig", "client_config_path", "client_config_text", "load_client_config", "state_directory"]

ENVIRONMENT = "SLAPOS_CLIENT_CONFIGURATION"
STATE_ENVIRONMENT = "HYPEROPENX_STATE"


def state_directory() -> str:
    """``$HYPEROPENX_STATE``, else ``/srv/hyperopenx`` for root and ``./var`` for others."""
    found = os.environ.get(STATE_ENVIRONMENT)
    return os.path.abspath(found or ("/srv/hyperopenx" if os.geteuid() == 0 else "var"))


def client_config_path() -> str:
    """The file that counts when none is named; "" when there is none.  One named by the environment always counts."""
    named = os.environ.get(ENVIRONMENT, "")
    if named:
        return named
    candidates = (
        os.path.join(state_directory(), "client", "slapos-client.cfg"),
        os.path.expanduser("~/.slapos/slapos-client.cfg"),
    )
    return next((path for path in candidates if os.path.exists(path)), "")


def load_client_config(path: str | None = None) -> ClientConfig:
    """The configuration in ``path``, or where :func:`client_config_path` finds it.

    :class:`InputError` ``no-client-configuration`` or ``invalid-client-configuration`` (with file, section, option).
    """
    found = path or client_config_path()
    if not found:
        raise InputError(
            "No client configuration was found.",
            reference="no-client-configuration",
            context={"field": "configuration", "environment": ENVIRONMENT},
            hint=f"Start a site with `slapos up`, or name a file with --cfg or ${ENVIRONMENT}.",
        )
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    try:
        with open(found, encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise _invalid(found, str(error).splitlines()[0]) from error
    directory = os.path.dirname(os.path.abspath(found))

    def file_option(section: str, option: str) -> str:
        value = parser.get(section, option, fallback="").strip()
        return os.path.join(directory, os.path.expanduser(value)) if value else ""

    url = parser.get("slapos", "master_url", fallback="").strip().rstrip("/")
    dialect = parser.get("hyperopenx", "dialect", fallback="").strip()
    if dialect and dialect not in DIALECTS:
        raise _invalid(found, f"[hyperopenx] dialect is one of {', '.join(DIALECTS)}, not {dialect!r}")
    if not url.startswith(("https://", "http://") if dialect == SLAP else "https://"):
        raise _not_protected(found, url)
    return ClientConfig(
        master_url=url,
        cert_file=file_option("slapconsole", "cert_file") or file_option("slapos", "cert_file"),
        key_file=file_option("slapconsole", "key_file") or file_option("slapos", "key_file"),
        ca_file=file_option("slapos", "master_ca_file"),
        path=os.path.abspath(found),
        dialect=dialect,
        rest_url=parser.get("slapos", "master_rest_url", fallback="").strip(),
    )


def _not_protected(path: str, url: str) -> InputError:
    error = _invalid(path, f"[slapos] master_url must be an https:// address, not {url!r}")
    if url.startswith("http://"):
        error.hint = (
            "If it is a slapproxy, say so: dialect = slap in [hyperopenx]. Nobody is known for sure without TLS."
        )
    return error


def _invalid(path: str, reason: str) -> InputError:
    return InputError(
        f"{path}: {reason}.",
        reference="invalid-client-configuration",
        context={"field": "configuration", "file": path},
        hint="See docs/reference/configuration.",
    )
