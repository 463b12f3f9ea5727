"""The certificate of a master's authority, fetched over a connection that nobody verified.

``http.client`` and not the transport of calls: that one always verifies.  Only this one public file is read, and no
more than its size may be; a fingerprint that came another way tells whether it is the right one.
"""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from slapos.model.errors import InputError
from slapos.slap.transport import CONNECT_SECONDS, unavailable

_LIMIT = 64 * 1024  # bytes; a certificate of ours has about 600


def unverified_authority(master_url: str) -> str:
    """What ``<master_url>/ca.pem`` holds; whoever answers may have made it up.

    :class:`Unavailable` when nobody answers; empty when the answer is another than 200.
    """
    return _unverified_text(f"{master_url.rstrip('/')}/ca.pem")


def _unverified_text(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme != "https":
        raise InputError(
            f"{url.removesuffix('/ca.pem')!r} is no https URL of a master.",
            reference="invalid-url",
            context={"field": "master_url", "url": url},
        )
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=context)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        body = answer.read(_LIMIT)
    except (OSError, http.client.HTTPException) as error:
        raise unavailable(url, error) from error
    finally:
        connection.close()
    return body.decode("ascii", "replace") if answer.status == 200 else ""
