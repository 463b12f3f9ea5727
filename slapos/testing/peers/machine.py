"""Running programs of the real SlapOS: in the root that ``tests/interop/peers.sh`` makes, as an ordinary user of it.

Each program gets a private mount namespace: the root, this machine's ``/dev``, ``/proc`` and network, and one directory
of the test's own, under the same name as here.  Nothing of the root is ever imported by us, or changed by a program.
"""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from slapos.model.errors import MachineError
from slapos.system.processes import Completed, Launch, Started, run, start
from slapos.system.proctable import Process, end_processes, process_table

VARIABLE = "HYPEROPENX_PEERS"
_MADE = "/opt/hyperopenx/peers-*/"
#: The user ``peer`` of the root (``peers.sh``): slapgrid refuses uid 0.
USER = "peer"
_UID = 70111
_VENV = "/opt/peers"
_PATH = f"{_VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ROUNDS = 20

# $1 root, $2 uid, $3 whether we are root; then directories to show inside, --, and the command.
# pivot_root, not chroot: the kernel makes no user namespace for who is in a chroot.
_ENTER = """
set -eu
root=$1 uid=$2 rights=$3
shift 3
mount --rbind "$root" "$root"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
while [ "$1" != -- ]; do
	mkdir -p "$root$1"
	mount --rbind "$1" "$root$1"
	shift
done
shift
cd "$root"
pivot_root . .
umount -l .
cd "$HOME"
case $rights in
root) exec setpriv --reuid "$uid" --regid "$uid" --clear-groups --no-new-privs -- "$@" ;;
user) exec unshare --user --map-user "$uid" --map-group "$uid" -- "$@" ;;
esac
"""


def peers_root() -> str | None:
    """The root that :data:`VARIABLE` names, otherwise the newest that ``peers.sh`` made; None when there is none."""
    wanted = os.environ.get(VARIABLE)
    if wanted is not None:
        return wanted if os.path.isdir(f"{wanted}{_VENV}") else None
    made = [path.rstrip("/") for path in glob.glob(_MADE) if os.path.isdir(f"{path}{_VENV}")]
    made = [path for path in made if not path.endswith(".new")]
    return max(made, key=os.path.getmtime, default=None)


def missing() -> str | None:
    """Why no program of the real SlapOS can run here, or None."""
    if peers_root() is None:
        return "there is no root with the real SlapOS; as root run: make peers"
    if os.geteuid() != 0 and run([*_unshare(), "unshare", "--user", "true"]).code != 0:
        return "this machine gives ordinary users no user namespaces"
    return None


def _unshare() -> list[str]:
    rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *rights, "--mount"]


class PeerMachine:
    """``with PeerMachine() as machine: machine.run("slapos", "--version")``.

    ``directory`` (short: sockets lie there) has the same name and content inside; so have the directories ``shared``.
    Leaving the block ends every program that was started in it, daemons included, and removes the directory.
    """

    def __init__(self, *, shared: tuple[str, ...] = ()) -> None:
        self.shared = shared
        self.directory = ""
        self.root = ""

    def open(self) -> Self:
        """The directory is made; :class:`MachineError` ``no-peers`` when nothing can run in it."""
        reason = missing()
        if reason is not None:
            raise MachineError(f"The real SlapOS cannot run: {reason}.", reference="no-peers")
        self.root = peers_root() or ""
        self.directory = tempfile.mkdtemp(prefix="hox-peer-", dir="/tmp")
        os.chmod(self.directory, 0o755)
        self._own(self.directory)
        return self

    def run(
        self,
        *command: str,
        timeout: float = 120.0,
        stdin: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Completed:
        """To the end.  The directory is HOME and where it starts."""
        return run(self._command(command), launch=self._launch(environment), timeout=timeout, stdin=stdin)

    def start(self, *command: str, output: str, environment: Mapping[str, str] | None = None) -> Started:
        """Left running; the pid is that of the program itself."""
        return start(self._command(command), launch=self._launch(environment), output=self.path(output))

    def path(self, name: str) -> str:
        """Of a file in the directory."""
        return os.path.join(self.directory, name)

    def write(self, name: str, text: str, *, mode: int = 0o644) -> str:
        """The path of a file (of the peer's user) with this text."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
        self._own(path)
        return path

    def make(self, name: str, mode: int = 0o755) -> str:
        """The path of a directory of the peer's user."""
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        self._own(path)
        return path

    def read(self, name: str) -> str:
        """The text of a file in the directory."""
        with open(self.path(name), encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def processes(self) -> list[Process]:
        """All alive that were started here, by whomever and with whatever environment: they see our directory."""
        return [process for process in process_table().values() if process.alive and self._is_within(process.pid)]

    def close(self) -> None:
        """Ends what runs, and removes the directory."""
        for _ in range(_ROUNDS):  # a program may start another while we look
            found = self.processes()
            if not found:
                break
            end_processes(found, 2.0)
        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = ""

    def _command(self, command: tuple[str, ...]) -> list[str]:
        rights = "root" if os.geteuid() == 0 else "user"
        enter = [*_unshare(), "sh", "-c", _ENTER, "peer", self.root, str(_UID), rights]
        return [*enter, self.directory, *self.shared, "--", *command]

    def _launch(self, environment: Mapping[str, str] | None) -> Launch:
        own = {"HOME": self.directory, "USER": USER, "LOGNAME": USER, "PATH": _PATH, "LC_ALL": "C.UTF-8"}
        own["PYTHONWARNINGS"] = "ignore"  # the real client says at each request that it verifies nobody
        return Launch(environment={**own, **(environment or {})})

    def _is_within(self, pid: int) -> bool:
        if not self.directory:
            return False
        try:
            with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as stream:
                return any(line.split(" ", 5)[4] == self.directory for line in stream)
        except OSError:  # gone, or not ours to look at
            return False

    def _own(self, path: str) -> None:
        if os.geteuid() == 0:
            os.chown(path, _UID, _UID)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
