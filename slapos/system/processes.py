"""Running other programs.  The only user of ``subprocess``."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slapos.model.errors import MachineError
from slapos.system.limits import Limits
from slapos.system.proctable import (
    Process,
    end_processes,
    end_tree,
    environment_of,
    process_table,
    wait_one,
)
from slapos.system.users import Identity

MARK = "HYPEROPENX_RUN"
CLEAN_ENVIRONMENT: Mapping[str, str] = {"LC_ALL": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
_NETWORK = frozenset({"http_proxy", "https_proxy", "no_proxy"})
_PIP = frozenset(
    {
        "CERT",
        "CLIENT_CERT",
        "CONFIG_FILE",
        "CONSTRAINT",
        "DEFAULT_TIMEOUT",
        "EXTRA_INDEX_URL",
        "FIND_LINKS",
        "INDEX_URL",
        "NO_INDEX",
        "PROXY",
        "RETRIES",
        "TRUSTED_HOST",
    }
)


def network_environment() -> dict[str, str]:
    """What of our own environment says how the network is reached, and where pip finds packages."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _NETWORK or (name.startswith("PIP_") and name.removeprefix("PIP_") in _PIP)
    }


@dataclass(frozen=True)
class Completed:
    """A program that ended.  ``code`` is its exit status, ``-<signal>`` when killed, None when its time was over.

    ``output`` holds stdout and stderr merged, at most the limit asked for (its end is kept); ``truncated`` tells.
    """

    code: int | None
    output: bytes
    seconds: float
    truncated: bool = False

    @property
    def timed_out(self) -> bool:
        return self.code is None

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", errors="replace")


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How a program is started.  ``environment`` is all that it gets; ``user`` needs root unless it is ourselves.

    ``mark``: a text that nothing else has, put into its environment too, by which :func:`run` finds at the end of the
    time limit what left its session.
    """

    directory: str = "/"
    environment: Mapping[str, str] = field(default_factory=lambda: dict(CLEAN_ENVIRONMENT))
    user: Identity | None = None
    umask: int = 0o022
    limits: Limits | None = None
    mark: str = ""


def _user_arguments(user: Identity | None) -> dict[str, object]:
    if user is None or (user.uid == os.geteuid() and user.uid != 0):
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": list(user.groups)}


def _open(command: Sequence[str], launch: Launch, **streams: object) -> subprocess.Popen[bytes]:
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            _limited(command, launch.limits),
            cwd=launch.directory,
            env={**launch.environment, **({MARK: launch.mark} if launch.mark else {})},
            umask=launch.umask,
            start_new_session=True,
            close_fds=True,
            **streams,
            **_user_arguments(launch.user),
        )
    except OSError as error:
        raise MachineError(
            f"{command[0]} cannot be started: {error.strerror}.",
            reference="cannot-start",
            context={"command": list(command), "directory": launch.directory, "error": error.strerror or ""},
            hint="Is it installed, executable, and readable by the user that runs it?",
        ) from error
    return process


def _limited(command: Sequence[str], limits: Limits | None) -> list[str]:
    """Limits are set by ``prlimit`` in the child: a ``preexec_fn`` may deadlock in a program with threads."""
    if limits is None or not limits.as_pairs():
        return list(command)
    names = {0: "cpu", 1: "fsize", 4: "core", 6: "nproc", 7: "nofile"}
    options = [f"--{names[which]}={value}" for which, value in limits.as_pairs()]
    return ["prlimit", *options, "--", *command]


def run(
    command: Sequence[str],
    *,
    launch: Launch | None = None,
    timeout: float | None = None,
    stdin: bytes | None = None,
    output_limit: int = 1024 * 1024,
) -> Completed:
    """Run to the end in a session of its own; when ``timeout`` seconds are over, its whole tree is ended.

    :class:`MachineError` ``cannot-start`` when it cannot be executed.  What it left in the background and holds
    the output open is not waited for longer than one second after it ended.
    """
    begin = time.monotonic()
    process = _open(
        command,
        launch or Launch(),
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    collector = _Collector(process, output_limit, stdin or b"")
    try:
        ended = collector.collect(None if timeout is None else begin + timeout)
    except BaseException:
        end_tree(process.pid, 0.0)
        process.wait()
        raise
    finally:
        collector.close()
    if not ended:
        end_tree(process.pid, 1.0)
        if launch is not None and launch.mark:
            end_processes(_marked(launch.mark), 0.0)
    code = process.wait()
    return Completed(code if ended else None, collector.output(), time.monotonic() - begin, collector.truncated)


def _marked(mark: str) -> list[Process]:
    alive = [process for process in process_table().values() if process.alive]
    return [process for process in alive if environment_of(process.pid).get(MARK) == mark]


class _Collector:
    """Feeds stdin and keeps the last bytes of the output of one process, within a deadline."""

    def __init__(self, process: subprocess.Popen[bytes], limit: int, stdin: bytes) -> None:
        self.process = process
        self.limit = limit
        self.pending = memoryview(stdin)
        self.kept = bytearray()
        self.truncated = False
        self.selector = selectors.DefaultSelector()
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self.selector.register(process.stdout, selectors.EVENT_READ)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            self.selector.register(process.stdin, selectors.EVENT_WRITE)

    def collect(self, deadline: float | None) -> bool:
        """False when the deadline passed first."""
        ended_at: float | None = None
        while self.selector.get_map():
            now = time.monotonic()
            if deadline is not None and now >= deadline and self.process.poll() is None:
                return False
            if ended_at is None and self.process.poll() is not None:
                ended_at = now
            if ended_at is not None and now > ended_at + 1.0:
                return True
            rest = 0.25 if deadline is None else max(0.0, min(0.25, deadline - now))
            for key, _ in self.selector.select(rest):
                self._read() if key.fileobj is self.process.stdout else self._write()
        return self._wait(deadline)

    def _wait(self, deadline: float | None) -> bool:
        try:
            self.process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _read(self) -> None:
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            self.selector.unregister(self.process.stdout)
            return
        self.kept += data
        if len(self.kept) > 2 * self.limit:
            self.truncated = True
            del self.kept[: -self.limit]

    def _write(self) -> None:
        assert self.process.stdin is not None
        try:
            sent = os.write(self.process.stdin.fileno(), self.pending[:65536])
        except BrokenPipeError:
            sent = len(self.pending)
        self.pending = self.pending[sent:]
        if not self.pending:
            self.selector.unregister(self.process.stdin)
            self.process.stdin.close()

    def output(self) -> bytes:
        self.truncated = self.truncated or len(self.kept) > self.limit
        return bytes(self.kept[-self.limit :])

    def close(self) -> None:
        self.selector.close()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None and not stream.closed:
                stream.close()


def check_run(command: Sequence[str], *, launch: Launch | None = None, timeout: float | None = 60.0) -> Completed:
    """Like :func:`run`; :class:`MachineError` ``command-failed`` with the end of the output when it fails."""
    done = run(command, launch=launch, timeout=timeout)
    if done.code != 0:
        last = done.text.strip()[-1000:]
        how = "took too long" if done.timed_out else f"failed with status {done.code}"
        raise MachineError(
            f"{' '.join(command)} {how}: {last}",
            reference="command-failed",
            context={"command": list(command), "code": done.code, "output": last},
        )
    return done


@dataclass(frozen=True)
class Started:
    """A program left running: ``popen`` lets a caller wait for it (and reap it)."""

    pid: int
    popen: subprocess.Popen[bytes]

    def wait(self) -> int:
        """The exit status; when the waiting is interrupted, the whole tree ends before the interruption goes on."""
        try:
            return self.popen.wait()
        except BaseException:
            end_tree(self.pid, 0.0)
            self.popen.wait()
            raise

    def ends_within(self, seconds: float) -> bool:
        """Wait so long at most; whether it ended.  Returns at once when it ends."""
        deadline = time.monotonic() + seconds
        while self.popen.poll() is None:  # its first thread may end before the others
            rest = deadline - time.monotonic()
            if rest <= 0:
                return False
            wait_one(self.pid, rest)
        return True


def start(
    command: Sequence[str], *, launch: Launch | None = None, output: str | int = os.devnull, keep: Sequence[int] = ()
) -> Started:
    """Start in a session of its own, stdin empty, output appended to ``output`` (a path, or a descriptor of ours);
    descriptors ``keep`` stay open."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.dup(output) if isinstance(output, int) else os.open(output, flags, 0o640)
    try:
        process = _open(
            command,
            launch or Launch(),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            pass_fds=tuple(keep),
        )
    finally:
        os.close(handle)
    return Started(process.pid, process)
