"""Parts that need the network, write outside, hang, fork without end, fill the disk, read what they do not name."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from slapos.build.sandbox import available
from slapos.build.store.store import Store
from slapos.system.proctable import process_table
from tests.security.build_sandbox.hostile import built, names, refused, section

REASON = available()
confined = pytest.mark.skipif(bool(REASON), reason=f"no sandbox here: {REASON}")
limited = pytest.mark.timeout(120)

CONNECT = (
    "perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0); "
    'connect(S, sockaddr_in(%d, inet_aton("127.0.0.1"))) or die "connect: $!\\n"; print "connected\\n"\'; echo a > out'
)


@confined
def test_a_name_of_the_network_is_not_resolved(tmp_path: Path) -> None:
    make = "python3 -c 'import socket; socket.create_connection((\"pypi.org\", 443))'"
    error = refused(tmp_path, make)
    assert error["reference"] == "needs-network"
    assert "needs the network, which builds do not have" in str(error["message"])
    assert "sha256" in str(error["hint"])


@confined
def test_an_address_of_the_network_is_not_reached(tmp_path: Path) -> None:
    make = CONNECT.replace("127.0.0.1", "198.51.100.1") % 80
    assert refused(tmp_path, make)["reference"] == "needs-network"


@confined
def test_a_server_of_this_machine_is_not_reached(tmp_path: Path) -> None:
    """Neither by its address nor by a socket in the abstract namespace."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as hidden:
        hidden.bind(f"\0hyperopenx-test-{os.getpid()}")
        hidden.listen()
        error = refused(tmp_path, CONNECT % server.getsockname()[1])
        assert "Connection refused" in str(error["context"])
        name = f'chr(0) + "hyperopenx-test-{os.getpid()}"'
        unix = f"python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect({name})'"
        assert "Connection refused" in str(refused(tmp_path, unix)["context"])


@confined
@pytest.mark.parametrize("place", ["/usr/bin/evil", "/etc/evil", "/evil", "/build/../evil"])
def test_nothing_is_written_outside(tmp_path: Path, place: str) -> None:
    error = refused(tmp_path, f"echo evil > out; cp out {place}")
    assert error["reference"] == "writes-outside"
    assert "Read-only file system" in str(error["message"])
    assert not os.path.exists("/evil")


@confined
def test_a_part_cannot_change_another(tmp_path: Path) -> None:
    first = section(tmp_path, "first", "echo first > out")
    text = "echo bad > ${first:location}/first; echo bad > ${first:location}/new"
    second = section(tmp_path, "second", "echo second > out", f"pre-build = {text}")
    result = built(tmp_path, first + second, "second")
    assert result.error is not None
    assert result.error["reference"] == "writes-outside"
    stored = next(Store((str(tmp_path / "store"),)).parts())
    assert sorted(os.listdir(stored.location)) == [".hyperopenx-part.json", "first"]
    assert Path(stored.location, "first").read_text() == "first\n"


@confined
def test_what_it_leaves_in_tmp_and_home_is_gone(tmp_path: Path) -> None:
    mark = f"hyperopenx-left-{os.getpid()}"
    make = f'echo x > /tmp/{mark}; echo x > "$HOME/{mark}"; echo x > /dev/shm/{mark}; echo good > out'
    assert built(tmp_path, section(tmp_path, "tidy", make), "tidy").outcome == "done"
    found = [place for place in ("/tmp", "/dev/shm", os.path.expanduser("~")) if os.path.exists(f"{place}/{mark}")]
    assert not found
    assert not list(tmp_path.rglob(mark))


@confined
@limited
def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    error = refused(tmp_path, "sleep 600", "command-idle-seconds = 2")
    assert error["reference"] == "build-hangs"
    assert "wrote nothing and used no processor time" in str(error["message"])
    assert not _running("sleep 600")


@limited
@confined
def test_a_command_without_end_is_ended(tmp_path: Path) -> None:
    error = refused(tmp_path, "while :; do :; done", "command-seconds = 2")
    assert error["reference"] == "build-too-slow"


@confined
@limited
@pytest.mark.parametrize(
    "make",
    [
        pytest.param("b() { b | b & }; b; sleep 5; false", id="doubling"),
        pytest.param("while :; do sleep 600 & done", id="one by one"),
    ],
)
def test_a_fork_bomb_is_ended(tmp_path: Path, make: str) -> None:
    error = refused(tmp_path, make, "command-processes = 150")
    assert error["reference"] == "too-many-processes"
    assert "had more than 150 processes at once" in str(error["message"])
    assert not _running("sleep 600")


@confined
@limited
def test_what_stays_in_the_background_ends_with_the_command(tmp_path: Path) -> None:
    sections = section(tmp_path, "ghost", "setsid sleep 4711 & echo good > out")
    assert built(tmp_path, sections, "ghost").outcome == "done"
    assert not _running("sleep 4711")


@limited
@pytest.mark.parametrize(
    "make",
    [
        pytest.param("cat /dev/zero > out", id="one file"),
        pytest.param("for i in $(seq 100); do head -c 4000000 /dev/zero > f$i; sleep 0.05; done", id="many files"),
    ],
)
@confined
def test_a_command_that_fills_the_disk_is_ended(tmp_path: Path, make: str) -> None:
    error = refused(tmp_path, make, "build-bytes = 30000000")
    assert error["reference"] == "build-too-large"
    assert "build-bytes" in str(error["hint"])


EAT = "perl -e 'for (1..%d) { push @kept, \"x\" x 1000000; select undef, undef, undef, %s } sleep 5'"


@confined
@limited
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(EAT % (1000, "0"), id="at once"),
        pytest.param(EAT % (1000, "0.01"), id="slowly"),
        pytest.param(f"for i in 1 2 3 4 5 6 7 8; do {EAT % (60, '0.01')} & done; wait", id="many processes"),
    ],
)
def test_a_command_that_eats_memory_is_ended(tmp_path: Path, make: str) -> None:
    """A gigabyte at most, should nobody end it."""
    error = refused(tmp_path, f"{make}; echo bad > out", "command-memory = 200000000")
    assert error["reference"] == "too-much-memory"
    assert "used more than 190.7 MiB of memory and was killed" in str(error["message"])
    assert "`command-memory` in [buildout]" in str(error["hint"])


@confined
@pytest.mark.parametrize("limit", ["", "command-memory = 200000000"])
def test_a_command_may_use_the_memory_that_it_has(tmp_path: Path, limit: str) -> None:
    sections = section(tmp_path, "modest", f"{EAT % (60, '0.001')}; echo good > out".replace("sleep 5", "sleep 0"))
    assert built(tmp_path, sections, "modest", limit).outcome == "done"


@confined
def test_the_memory_of_dev_shm_is_bounded(tmp_path: Path) -> None:
    assert refused(tmp_path, "cat /dev/zero > /dev/shm/x")["reference"] == "disk-full"


@confined
def test_a_file_that_is_not_declared_is_not_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    error = refused(tmp_path, f"cp {secret} out")
    assert error["reference"] == "undeclared-input"
    assert str(secret) in str(error["message"])
    assert "Make it a part" in str(error["hint"])


@confined
def test_a_program_that_is_nowhere_is_no_undeclared_shell(tmp_path: Path) -> None:
    error = refused(tmp_path, "hox-no-such-program --all")
    assert error["reference"] == "build-command-failed"
    assert "hox-no-such-program: not found" in str(error["context"])


@confined
def test_a_part_that_is_not_named_is_not_there(tmp_path: Path) -> None:
    other = section(tmp_path, "other", "echo other > out")
    assert built(tmp_path, other, "other").outcome == "done"
    location = next(Store((str(tmp_path / "store"),)).parts()).location
    thief = section(tmp_path, "thief", f"cp {location}/other out")
    result = built(tmp_path, other + thief, "other thief")
    assert result.error is not None
    assert result.error["reference"] == "undeclared-input"
    named = thief + "pre-build = test -r ${other:location}/other\n"
    assert built(tmp_path, other + named, "other thief").outcome == "done"


@confined
def test_a_library_of_the_machine_is_not_found(tmp_path: Path) -> None:
    """As ``configure`` scripts look for it: whether it is installed here or not changes nothing."""
    make = "echo 'int main(void) { return 0; }' > a.c; gcc -o a a.c -lsystemd -lz -lssl -lcurl"
    error = refused(tmp_path, make)
    assert error["reference"] in {"undeclared-input", "build-command-failed"}
    assert "cannot find -lz" in str(error["context"])


@confined
def test_a_build_sees_a_fixed_world(tmp_path: Path) -> None:
    make = "set > out; (id -u; id -un; hostname; pwd; umask; date +%Z; nproc > /dev/null; env | sort) > out"
    assert built(tmp_path, section(tmp_path, "world", make), "world").outcome == "done"
    stored = next(Store((str(tmp_path / "store"),)).parts())
    told = Path(stored.location, "world").read_text().splitlines()
    assert told[:6] == ["1000", "build", "build", "/build/source", "0022", "UTC"]
    environment = dict(line.split("=", 1) for line in told[6:])
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PWD", "_", "OLDPWD", "SHLVL", "MAKEOVERRIDES", "PREFIX"):
        environment.pop(name, None)
    assert environment == {
        "HOME": "/build",
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
        "SOURCE_DATE_EPOCH": "315532800",
        "TMPDIR": "/tmp",
        "TZ": "UTC",
    }
    assert stored.record.sandbox == "bubblewrap"


def test_without_a_sandbox_the_result_says_so(tmp_path: Path) -> None:
    sections = section(tmp_path, "plain", "echo plain > out")
    assert built(tmp_path, sections, "plain", "sandbox = false").outcome == "done"
    stored = next(Store((str(tmp_path / "store"),)).parts())
    assert stored.record.sandbox == "none: switched off by [buildout] sandbox"


def test_a_limit_that_is_no_number_is_refused(tmp_path: Path) -> None:
    result = built(tmp_path, section(tmp_path, "plain", "echo plain > out"), "plain", "command-seconds = soon")
    assert result.error is not None
    assert result.error["reference"] == "invalid-option"
    assert names(tmp_path) == []


def _running(command: str) -> list[int]:
    words = command.replace(" ", "\0").encode()
    found = []
    for pid in process_table():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if line.startswith(words):
            found.append(pid)
    return found
