"""A cache in a storage that speaks S3's protocol: ``s3://bucket/prefix?endpoint=https://host:port&region=name``.

Without ``endpoint`` it is Amazon's.  Credentials come from where the tools of that storage look for them: the
variables ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, ``~/.aws/credentials``, the role of a machine; with
``anonymous=true`` requests are not signed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from slapos.build.cache.places import Bound, Item, absent, bounded, refused_write, unavailable
from slapos.model.errors import InputError

_CHUNK = 256 * 1024
_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_KNOWN = frozenset({"endpoint", "region", "anonymous"})
_CONNECT, _READ, _TRIES = 10.0, 20.0, 2


class S3Place:
    """One bucket, or what begins with a prefix in it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = f"s3://{parts.netloc}{parts.path}".rstrip("/")
        self.bucket = parts.netloc
        prefix = parts.path.strip("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self._client = _client(parts.query, self.url)

    def stream(self, path: str, bound: Bound) -> Iterator[bytes]:
        """See :class:`~slapos.build.cache.places.Place`."""
        deadline = time.monotonic() + bound.seconds
        with self._speaking(path):
            answer = self._client.get_object(Bucket=self.bucket, Key=self.prefix + path)
            with answer["Body"] as body:
                yield from bounded(iter(partial(body.read, _CHUNK), b""), bound, deadline, self.url, path)

    def put(self, path: str, source: str) -> None:
        """See :class:`~slapos.build.cache.places.Place`: an object is replaced at once and as a whole."""
        with open(source, "rb") as stream, self._speaking(path):
            try:
                self._client.put_object(Bucket=self.bucket, Key=self.prefix + path, Body=stream)
            except ClientError as error:
                raise refused_write(self.url, path, _sentence(error)) from None

    def items(self) -> Iterator[Item]:
        """See :class:`~slapos.build.cache.places.Place`."""
        with self._speaking(""):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
            for page in pages:
                for entry in page.get("Contents", ()):
                    changed = entry["LastModified"].timestamp()
                    yield Item(entry["Key"].removeprefix(self.prefix), entry["Size"], changed)

    def remove(self, path: str) -> None:
        """See :class:`~slapos.build.cache.places.Place`."""
        with self._speaking(path):
            self._client.delete_object(Bucket=self.bucket, Key=self.prefix + path)

    @contextmanager
    def _speaking(self, path: str) -> Iterator[None]:
        """What the library raises becomes ours."""
        try:
            yield
        except ClientError as error:
            if str(error.response.get("Error", {}).get("Code", "")) in _ABSENT:
                raise absent(self.url, path) from None
            raise unavailable(self.url, _sentence(error)) from None
        except BotoCoreError as error:
            raise unavailable(self.url, str(error)[:300].rstrip(".")) from None


def _client(query: str, url: str) -> Any:
    options = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    if set(options) - _KNOWN:
        raise InputError(
            f"{url}: {', '.join(sorted(set(options) - _KNOWN))} is none of {', '.join(sorted(_KNOWN))}.",
            reference="invalid-cache-url",
            context={"url": url, "options": sorted(options)},
        )
    try:
        return Session().create_client(
            "s3",
            region_name=options.get("region") or "us-east-1",
            endpoint_url=options.get("endpoint"),
            config=Config(**_settings(options)),
        )
    except (BotoCoreError, ValueError) as error:
        raise InputError(f"{url}: {error}", reference="invalid-cache-url", context={"url": url}) from None


def _settings(options: Mapping[str, str]) -> dict[str, Any]:
    """Paths, not host names, name buckets where an endpoint is given: it may be an address.

    Checksums beyond what the signature covers are not asked for: storages other than Amazon's do not all know them, and
    every byte is checked by its digest anyway.
    """
    return {
        "connect_timeout": _CONNECT,
        "read_timeout": _READ,
        "retries": {"total_max_attempts": _TRIES, "mode": "standard"},
        "s3": {"addressing_style": "path" if "endpoint" in options else "auto"},
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        **({"signature_version": UNSIGNED} if options.get("anonymous") == "true" else {}),
    }


def _sentence(error: ClientError) -> str:
    told = error.response.get("Error", {})
    return f"{told.get('Code', 'error')} {told.get('Message', '')}".strip()[:300].rstrip(".")
