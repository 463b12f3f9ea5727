"""Runs one plugin.  Executed as a script, by the interpreter of the release when it has one: standard library only.

Reads one JSON object from stdin: ``file``, ``name``, ``config``, ``mode`` (test or anomaly), ``token``, ``paths`` (put
before ``sys.path`` unless the plugin brings its own ``slapos``).  Its last line of output is the token and a JSON
object: ``failed``, ``message``, ``type``, ``date``, ``periodicity``, ``tested``, ``anomaly``, ``bang``, ``skipped``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import traceback
from typing import Any

LOG_LIMIT = 1024 * 1024
RESERVED = {
    "path",
    "name",
    "log-folder",
    "partition-folder",
    "debug",
    "promise-timeout",
    "master-url",
    "partition-cert",
    "partition-key",
    "partition-id",
    "computer-id",
    "queue",
    "slapgrid-version",
}


class Queue:
    """Plugins of the field are given one; what they put there is not needed."""

    def put(self, *_arguments: Any, **_keywords: Any) -> None:
        """Accept and forget."""


def load(path: str, name: str) -> Any:
    """The module of a plugin."""
    sys.dont_write_bytecode = True
    sys.path.append(os.path.dirname(path))
    spec = importlib.util.spec_from_file_location("promise_plugin_" + name.replace(".", "_"), path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def make(request: dict[str, Any]) -> Any:
    """The promise object of the plugin, configured."""
    module = load(request["file"], request["name"])
    if not hasattr(module, "RunPromise"):
        raise AttributeError("the plugin has no class RunPromise")
    config = dict(request["config"])
    for key, value in getattr(module, "extra_config_dict", {}).items():
        if key in RESERVED:
            raise ValueError(f"extra_config_dict must not have the reserved key {key!r}")
        config[key] = value
    config["queue"] = Queue()
    return module.RunPromise(config)


def perform(promise: Any, mode: str) -> dict[str, Any]:
    """The answer for one promise."""
    answer: dict[str, Any] = {
        "periodicity": promise.getPeriodicity(),
        "tested": bool(_ask(promise, "isTested", True)),
        "anomaly": bool(_ask(promise, "isAnomalyDetected", True)),
        "bang": bool(_ask(promise, "isBangAllowed", True)),
    }
    if not answer["tested" if mode == "test" else "anomaly"]:
        return {**answer, "skipped": True}
    try:
        promise.sense()
    except Exception as error:  # noqa: BLE001  the door of the promise runner: a plugin may raise anything
        promise.logger.error("%s: %s", type(error).__name__, error)
    result = promise.test() if mode == "test" else promise.anomaly()
    if result is None:
        return {**answer, "failed": True, "message": "Error: No output returned by the promise", "type": "Test Result"}
    kind = "Anomaly Result" if "Anomaly" in type(result).__name__ else "Test Result"
    date = result.date.strftime("%Y-%m-%dT%H:%M:%S+0000")
    return {**answer, "failed": bool(result.hasFailed()), "message": str(result.message), "type": kind, "date": date}


def _ask(promise: Any, name: str, default: Any) -> Any:
    method = getattr(promise, name, None)
    return method() if method else default


def bound_log(config: dict[str, Any]) -> None:
    """Keep the second half of a log that grew too long."""
    path = os.path.join(config["log-folder"], os.path.splitext(config["name"])[0] + ".log")
    if os.path.isfile(path) and os.path.getsize(path) > LOG_LIMIT:
        with open(path, "rb") as stream:
            stream.seek(-LOG_LIMIT // 2, os.SEEK_END)
            kept = stream.read().partition(b"\n")[2]
        with open(path + ".tmp", "wb") as stream:
            stream.write(kept)
        os.rename(path + ".tmp", path)


def main() -> None:
    """Run, answer."""
    request = json.loads(sys.stdin.buffer.read())
    sys.path[0:0] = request["paths"]
    if request["paths"]:
        from slapos.system.namespace import unite  # not there for a release with modules of its own

        unite()
    try:
        bound_log(request["config"])
        answer = perform(make(request), request["mode"])
    except BaseException as error:  # noqa: BLE001  the door of the promise runner: importing a plugin may even exit
        traceback.print_exc()
        message = f"Error: {type(error).__name__}: {error}"
        answer = {"failed": True, "message": message, "type": "Test Result"}
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(1, f"\n{request['token']} {json.dumps(answer)}\n".encode())
    os._exit(0)  # threads that a plugin left must not keep the interpreter


if __name__ == "__main__":
    main()
