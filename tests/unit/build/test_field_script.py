"""``slapos.recipe.build``: parts made by Python of a profile."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from slapos.build.profile.install import Report
from slapos.model.errors import ProfileError
from tests.unit.build.profiles import make_buildout, outcomes, run_profile
from tests.unit.build.test_unpack import make_tar

PROFILE = "[buildout]\nparts = s\n{main}\n[s]\nrecipe = slapos.recipe.build\n{text}\n"


def done(tmp_path: Path, text: str, main: str = "") -> Report:
    report = run_profile(tmp_path, PROFILE.format(text=text, main=main))
    if report.first_error is not None:
        raise report.first_error
    return report


UNPACKING = """
url = {url}
md5sum = {md5}
install =
  import os
  extracted = self.download()
  extracted = self.extract(extracted)
  work = guessworkdir(extracted)
  if os.path.isdir(work):
      self.copyTree(work, location)
  call(['/bin/sh', '-c', 'echo $NAME > called'], cwd=location, env=self.environ)
  self.pipeCommand([['/bin/echo', 'a b'], ['/usr/bin/tr', 'a', 'c'], ['/usr/bin/tee', 'piped']], cwd=location)
  self.logger.info('made %s', options['location'])
environment =
  NAME=value
slapos_promise =
  file:x
  directory:
"""


def unpacking(tmp_path: Path) -> str:
    archive = make_tar(tmp_path / "a.tar", ("top/x", "file", "x"))
    return UNPACKING.format(url=archive, md5=hashlib.md5(Path(archive).read_bytes(), usedforsecurity=False).hexdigest())


def test_a_tree_is_made_with_the_tools_of_the_field(tmp_path: Path) -> None:
    text = unpacking(tmp_path)
    done(tmp_path, text)
    location = tmp_path / "work/parts/s"
    assert {path.name: path.read_text() for path in location.iterdir()} == {
        "x": "x",
        "called": "value\n",
        "piped": "c b\n",
    }
    assert outcomes(done(tmp_path, text)) == {"s": "kept"}


def test_what_a_script_extracts_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    done(tmp_path, unpacking(tmp_path))
    assert list((tmp_path / "t").iterdir()) == []


def test_init_gives_options_to_others_and_chooses_the_location(tmp_path: Path) -> None:
    text = "init =\n  options['x'] = self.name + str(len(self.buildout['data']['y']))\n"
    text += "  options['location'] = self.buildout['buildout']['directory'] + '/chosen'\n"
    text += "install =\n  import os\n  os.mkdir(location)\n[data]\ny = abc\n[show]\nz = ${s:x}"
    done(tmp_path, text)
    assert (tmp_path / "work/chosen").is_dir()
    assert make_buildout(tmp_path, PROFILE.format(text=text, main=""))["show"]["z"] == "s3"


def test_update_runs_when_everything_is_kept(tmp_path: Path) -> None:
    text = "update =\n  with open('runs', 'a') as runs:\n    runs.write('x')\n"
    for _ in range(3):
        done(tmp_path, text)
    assert (tmp_path / "work/runs").read_text() == "xxx", "once for the installation, as in the field"


def test_a_script_is_code_and_data_are_not(tmp_path: Path) -> None:
    text = (
        "command = {}\ninstall =\n  import os\n  os.mkdir(location)\n  x = '${{data:x}}'\n  ${{:command}}\n[data]\n{}"
    )
    done(tmp_path, text.format("open(location + '/' + x, 'w').close()", "x = plain"))
    assert (tmp_path / "work/parts/s/plain").exists()
    with pytest.raises(ProfileError) as caught:
        done(tmp_path, text.format("", 'x = !json!"\'; import os #"'))
    assert caught.value.reference == "unsafe-value"
    reading = text.format("open(location + '/' + self.buildout['data']['x'], 'w').close()", 'x = !json!"a \' b"')
    done(tmp_path, reading.replace("  x = '${data:x}'\n", ""))
    assert (tmp_path / "work/parts/s/a ' b").exists()


@pytest.mark.parametrize(
    ("text", "reference", "sentence"),
    [
        ("install =\n  x = 1\n  raise KeyError('gone')", "packagers-code", "install, line 2 failed: KeyError: 'gone'"),
        ("install = pass", "nothing-installed", "did not make"),
        ("install =\n  call(['/bin/false'])", "build-command-failed", "/bin/false"),
        ("install =\n  self.pipeCommand([['/bin/false'], ['/bin/true']])", "build-command-failed", "/bin/false"),
        ("install =\n  import os\n  os.mkdir(location)\nslapos_promise = file:x", "broken-promise", "x is missing"),
        ("install =\n  import os\n  os.mkdir(location)\nslapos_promise = odd", "invalid-option", "odd"),
        ("install =\n  if x\n", "invalid-option", "line 1"),
        ("init = pass\nsetup-eggs = x\ninstall = x", "unsupported-option", "setup-eggs"),
        ("environment =", "missing-option", "mandatory"),
        ("init = pass\nshared = true", "not-shareable", "mandatory for a shared part"),
    ],
)
def test_errors_say_where(tmp_path: Path, text: str, reference: str, sentence: str) -> None:
    report = run_profile(tmp_path, PROFILE.format(text=text, main=""))
    assert report.first_error is not None
    assert report.first_error.reference == reference and sentence in report.first_error.message


def test_a_failing_script_leaves_the_former_tree(tmp_path: Path) -> None:
    text = "install =\n  import os, pathlib\n  os.mkdir(location)\n  pathlib.Path(location, 'x').write_text('{}')\n"
    done(tmp_path, text.format("one"))
    report = run_profile(tmp_path, PROFILE.format(text=text.format("two") + "  1 / 0\nkeep-on-error = true\n", main=""))
    assert report.outcome == "failed"
    assert (tmp_path / "work/parts/s/x").read_text() == "one"
    assert (tmp_path / "work/parts/s.failed/x").read_text() == "two"


def test_a_shared_part_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    text = "shared = true\ninstall =\n  import os\n  os.mkdir(location)\n"
    text += f"  call('echo x >> {tmp_path}/runs', shell=True)\n"
    main = f"shared-part-list = {tmp_path}/shared"
    done(tmp_path, text, main)
    done(tmp_path, text, main)
    (location,) = (tmp_path / "shared/s").glob("[0-9a-f]*")
    assert (location / ".buildout-shared.json").exists() and (tmp_path / "runs").read_text() == "x\n"


def test_linked_libraries_are_looked_at(tmp_path: Path) -> None:
    library = next(path for path in ("/bin/true", "/usr/bin/true") if os.path.exists(path))
    text = f"install =\n  import os, shutil\n  os.mkdir(location)\n  shutil.copy('{library}', location + '/x')\n"
    done(tmp_path, text + "slapos_promise = dynlib:x linked:libc.so.6 rpath:")
    report = run_profile(
        tmp_path, PROFILE.format(text=text + "slapos_promise = dynlib:x linked:libz.so.1 rpath:!/lib", main="")
    )
    assert report.first_error is not None
    assert "is linked with libc.so.6, not libz.so.1." in report.first_error.message
    assert f"not {tmp_path}/work/parts/s/lib." in report.first_error.message
