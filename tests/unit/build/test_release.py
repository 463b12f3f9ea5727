"""Directories and records of releases, and a build from the terminal."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from slapos.build import standalone
from slapos.build.job import Job, PartResult, Profiled, Result
from slapos.build.release import (
    build_job,
    expected_seconds,
    forget_completion,
    is_complete,
    prepare,
    profile_of,
    read_record,
    record_build,
    release_directory,
)
from slapos.build.run import execute
from slapos.model.errors import InputError, InternalError, MachineError
from tests.unit.build.profiles import write_profile

URL = "https://h/software.cfg"


def test_directory_is_named_like_in_the_field() -> None:
    assert release_directory("/opt/s", URL) == f"/opt/s/{hashlib.md5(URL.encode()).hexdigest()}"


def test_what_is_a_release() -> None:
    assert [profile_of(url) for url in (URL, "/a/b.cfg", "file:///a/b%20c.cfg")] == [URL, "/a/b.cfg", "/a/b c.cfg"]
    with pytest.raises(InputError):
        profile_of("relative.cfg")


def test_record_and_completion(tmp_path: Path) -> None:
    directory = str(tmp_path / "d")
    prepare(directory, URL)
    assert (is_complete(directory), read_record(directory), expected_seconds(directory)) == (False, None, {})
    parts = (PartResult("a", "installed", "", 3.21), PartResult("b", "kept"))
    failed = Result("failed", "x", parts=parts, profiles=(Profiled(URL, "0" * 64, 3),))
    record_build(directory, URL, failed)
    assert not is_complete(directory)
    record_build(directory, URL, Result("done", "x", parts=(PartResult("c", "installed", "", 1.0),)))
    assert is_complete(directory)
    assert expected_seconds(directory) == {"a": 3.2, "c": 1.0}
    assert build_job(directory=directory, url=URL, log="/l").expected == {"a": 3.2, "c": 1.0}
    forget_completion(directory)
    assert not is_complete(directory)


def test_a_record_that_is_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    """Root reads it; the build's user may have put anything there."""
    (tmp_path / "secret").write_text('{"url": "u", "profiles": [], "seconds": {"s": 1}, "built_at": 0}')
    record = tmp_path / ".hyperopenx-release.json"
    record.symlink_to(tmp_path / "secret")
    assert read_record(str(tmp_path)) is None
    record.unlink()
    os.mkfifo(record)
    assert read_record(str(tmp_path)) is None


def test_too_little_space(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught:
        prepare(str(tmp_path / "d"), URL, min_free_space=1 << 60)
    assert caught.value.reference == "disk-full"


def test_job_and_result_survive_their_journey() -> None:
    job = Job("build", "/d", "/p", "/l", {"buildout": {"x": "y"}}, "user", {"A": "b"}, 0o22, 1.5, "label", {"a": 1.0})
    assert Job.from_data(job.as_data()) == job
    parts = (PartResult("a", "failed", "why", 2.0),)
    error = InternalError("x").as_data()
    result = Result("failed", "s", error, 1.0, parts, (Profiled("/p", "0", 1),))
    assert Result.from_data(result.as_data()) == result


@pytest.mark.parametrize("change", [{"outcome": "great"}, {"seconds": "x"}, {"parts": [{"part": 1}]}, {"profiles": 3}])
def test_a_result_that_is_none_is_refused(change: dict[str, object]) -> None:
    """It comes from a process of a partition's user."""
    with pytest.raises((ValueError, TypeError, KeyError)):
        Result.from_data(Result("done", "").as_data() | change)


def test_errors_come_back_as_data(tmp_path: Path) -> None:
    job = Job("build", str(tmp_path), str(tmp_path / "gone.cfg"), "")
    result = execute(job)
    assert result.outcome == "failed"
    assert result.error is not None and result.error["reference"] == "missing-profile"


def test_standalone(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    umask = os.umask(0o022)
    monkeypatch.setattr("logging.basicConfig", lambda **options: [h.close() for h in options["handlers"]])
    text = "[buildout]\nparts = t\n[t]\nrecipe = hyperopenx:template\noutput = o\ninline = ${:x}\n"
    profile = write_profile(tmp_path, text + "x = 1\n")
    out = str(tmp_path / "out")
    try:
        assert standalone.main([profile, out, "--plan"]) == 0
        assert not os.path.exists(out)
        assert standalone.main([profile, out]) == 0
        assert is_complete(out)
        write_profile(tmp_path, text)
        assert standalone.main([profile, out]) == 70
        assert standalone.main([str(tmp_path / "gone.cfg"), out]) == 70
    finally:
        os.umask(umask)
    shown = capsys.readouterr().err
    assert "[1/1] t: install" in shown
    assert "${:x} names an option that [t] does not have" in shown
