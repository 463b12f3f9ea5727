"""The server of a binary cache: files of a directory over HTTP, and uploads by whoever has the token.

It need not be trusted by those who read, and checks what it is given all the same: names, sizes, digests, forms.
``/shacache`` and ``/shadir`` speak the field's older protocol (:mod:`slapos.build.cache.networkcache_server`).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from slapos.build.cache.addresses import digest_in, is_cache_path
from slapos.build.cache.manifest import SIZE_LIMIT, read_manifest
from slapos.build.cache.networkcache_server import NetworkCacheFiles
from slapos.build.cache.places import DirectoryPlace
from slapos.build.cache.signing import read_signature
from slapos.model.errors import HyperopenxError
from slapos.system.disk import require_free_space

UPLOAD_LIMIT = 4 * 1024**3
_SIGNATURE_LIMIT = 1024
_RESERVE = 64 * 1024**2
_TEMPORARY = ".uploads"


@dataclass(frozen=True)
class Serving:
    """What is served: ``directory``, and the secret that uploads need (empty: nobody uploads)."""

    directory: str
    token: str = ""


def cache_application(serving: Serving) -> Starlette:
    """The ASGI application."""
    server = _Server(serving)
    files = NetworkCacheFiles(os.path.join(serving.directory, "networkcache"))
    old = _OldServer(server, files)
    return Starlette(
        routes=[
            Route("/", server.welcome, methods=["GET"]),
            Route("/shacache", old.post, methods=["POST"]),
            Route("/shacache/{digest:str}", old.blob, methods=["GET", "PUT"]),
            Route("/shadir/{key:str}", old.listing, methods=["GET", "PUT"]),
            Route("/{path:path}", server.read, methods=["GET"]),
            Route("/{path:path}", server.write, methods=["PUT"]),
        ],
        exception_handlers={HyperopenxError: _told, ClientDisconnect: _gone, OSError: _disk},
    )


class _Server:
    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.place = DirectoryPlace(serving.directory)
        self.temporary = os.path.join(serving.directory, _TEMPORARY)

    async def welcome(self, request: Request) -> Response:
        """Says what this is; who monitors asks it."""
        return JSONResponse({"service": "hyperopenx binary cache", "uploads": bool(self.serving.token)})

    async def read(self, request: Request) -> Response:
        """A file, or a piece of it (``Range``)."""
        path = request.path_params["path"]
        if not is_cache_path(path):
            raise HTTPException(404)
        kind = "application/json" if path.endswith(".json") else "application/octet-stream"
        return file_response(os.path.join(self.serving.directory, path), kind)

    async def write(self, request: Request) -> Response:
        """Take a file whose name is one of a cache and whose bytes are what its name says."""
        path = request.path_params["path"]
        self.authorize(request)
        if not is_cache_path(path):
            raise HTTPException(400, "This is no name in a binary cache.")
        limit = UPLOAD_LIMIT if digest_in(path) else SIZE_LIMIT if path.endswith(".json") else _SIGNATURE_LIMIT

        def keep(temporary: str, digests: tuple[str, str]) -> None:
            _check(path, temporary, digests[0])
            self.place.put(path, temporary)

        await self.receive(request, limit, keep)
        return Response(status_code=201)

    def authorize(self, request: Request) -> None:
        """Uploads need the token, also as the password of any user: clients of the field know no other way."""
        if not self.serving.token:
            raise HTTPException(403, "This cache takes no uploads.")
        if not hmac.compare_digest(_secret(request).encode(), self.serving.token.encode()):
            raise HTTPException(401, "The token is missing or wrong.", {"WWW-Authenticate": "Bearer"})

    async def receive(
        self, request: Request, limit: int, keep: Callable[[str, tuple[str, str]], None]
    ) -> tuple[str, str]:
        """The body into a temporary file, of which ``keep`` takes what it wants; its sha256 and sha512."""
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            raise HTTPException(413, f"This may have {limit} bytes.")
        require_free_space(self.serving.directory, _RESERVE + (int(announced) if announced.isdigit() else 0))
        os.makedirs(self.temporary, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.temporary) as file:
            short, long = hashlib.sha256(), hashlib.sha512()
            async for chunk in request.stream():
                limit -= len(chunk)
                if limit < 0:
                    raise HTTPException(413, "This is too large.")
                await run_in_threadpool(_take, file, (short, long), chunk)
            file.flush()
            digests = (short.hexdigest(), long.hexdigest())
            await run_in_threadpool(keep, file.name, digests)
        return digests


class _OldServer:
    """The two services of the older protocol; uploads need our token too."""

    def __init__(self, server: _Server, files: NetworkCacheFiles) -> None:
        self.server = server
        self.files = files

    async def post(self, request: Request) -> Response:
        """A blob, which is told its name."""
        self.server.authorize(request)
        digests = await self.server.receive(request, UPLOAD_LIMIT, lambda path, done: self.files.keep(path, done[1]))
        return PlainTextResponse(digests[1], 201)

    async def blob(self, request: Request) -> Response:
        """A blob by its sha512."""
        digest = request.path_params["digest"]
        if request.method == "GET":
            return file_response(self.files.blob(digest), "application/octet-stream")
        self.server.authorize(request)

        def keep(path: str, done: tuple[str, str]) -> None:
            if done[1] != digest:
                raise HTTPException(400, "The bytes have another sha512.")
            self.files.keep(path, digest)

        await self.server.receive(request, UPLOAD_LIMIT, keep)
        return Response(status_code=201)

    async def listing(self, request: Request) -> Response:
        """What is said under a key; a PUT adds to it."""
        key = request.path_params["key"]
        if request.method == "GET":
            return file_response(self.files.listing(key), "application/json")
        self.server.authorize(request)

        def keep(path: str, done: tuple[str, str]) -> None:
            with open(path, "rb") as stream:
                self.files.add(key, stream.read())

        await self.server.receive(request, SIZE_LIMIT, keep)
        return Response(status_code=201)


def _secret(request: Request) -> str:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind == "Basic":
        with contextlib.suppress(ValueError):
            return base64.b64decode(given, validate=True).decode().partition(":")[2]
    return given if kind == "Bearer" else ""


def file_response(path: str, kind: str) -> Response:
    """A file, or 404."""
    if not os.path.isfile(path):
        raise HTTPException(404)
    return FileResponse(path, media_type=kind)


def _take(file: Any, digests: tuple[Any, Any], chunk: bytes) -> None:
    file.write(chunk)
    for digest in digests:
        digest.update(chunk)


def _check(path: str, temporary: str, sha256: str) -> None:
    """What the name says, the bytes are."""
    if digest_in(path):
        if digest_in(path) != sha256:
            raise HTTPException(400, "The bytes have another sha256 than the name says.")
        return
    with open(temporary, "rb") as stream:
        data = stream.read()
    _, part, digest, _ = path.split("/")
    if path.endswith(".json"):
        read_manifest(data, part, digest, "The upload")
    elif read_signature(data) is None:
        raise HTTPException(400, "This is no signature.")


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, HyperopenxError)
    status = 507 if error.status == 507 else 400
    return PlainTextResponse(error.message, status)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)


async def _disk(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    return PlainTextResponse(f"The cache cannot keep it: {error.strerror}.", 507)
