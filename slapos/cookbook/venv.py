"""``hyperopenx:venv``: a Python environment from a requirements file with hashes, made by uv.

pip fetches the wheels, because it knows the machine's indexes; uv installs them without network, and checks the hashes
again.  Wheels only: nothing of a distribution runs while the environment is made.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from typing import ClassVar

import uv

from slapos.build.recipe import OptionsView
from slapos.build.requirements import logical_lines, read_pin
from slapos.cookbook.packaged import FETCH_SECONDS, LockedRecipe, package_versions
from slapos.model.errors import Unavailable
from slapos.system.files import atomic_write
from slapos.system.processes import Launch, run
from slapos.system.removal import remove_tree

_PYTHON = "/usr/bin/python3"
_UV = {
    "UV_LINK_MODE": "copy",
    "UV_NO_CONFIG": "1",
    "UV_NO_PROGRESS": "1",
    "UV_OFFLINE": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}
_FIXED = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_NO_COLOR": "1", "PIP_QUIET": "1"}


class Venv(LockedRecipe):
    """Gives ``location`` and ``bin-directory``."""

    lock: ClassVar[str] = "requirements"
    programs: ClassVar[str] = "bin"
    host_packages: ClassVar[tuple[str, ...]] = ("python3",)

    @classmethod
    def counted(cls, data: bytes) -> str:
        """The requirements themselves: comments change nothing, and a changed line can be shown."""
        return "\n".join(line for _, line in logical_lines(data.decode("utf-8", "replace")))

    @classmethod
    def of_machine(cls, options: OptionsView) -> dict[str, str]:
        """The machine's Python, when that is used."""
        found = package_versions(("python3.",)) or os.path.basename(os.path.realpath(_PYTHON))
        return {"python of the machine": found} if options.text("python", _PYTHON) == _PYTHON else {}

    def produce(self, work: str) -> None:
        """Wheels into the download cache, then ``uv venv`` and ``uv pip sync`` without network."""
        self.stage("fetch")
        requirements = self._checked()
        wheels = self._fetch(requirements)
        self.stage("install")
        shutil.copytree(wheels, os.path.join(work, "wheels"))
        shutil.copy(uv.find_uv_bin(), os.path.join(work, "uv"))  # a sandbox does not show where it lies
        atomic_write(os.path.join(work, "requirements.txt"), requirements, fsync=False)
        log = self.command_log({**_UV, "PYTHONDONTWRITEBYTECODE": "1"})
        log.environment["UV_CACHE_DIR"] = log.seen(os.path.join(work, "cache"))
        program, location = log.seen(os.path.join(work, "uv")), self.place.location
        log.run([program, "venv", "--allow-existing", "--no-project", "--python", self._python(), location], work)
        interpreter = f"{location}/bin/python"
        wanted = [
            "--require-hashes",
            "--no-build",
            "--no-index",
            "--find-links",
            log.seen(os.path.join(work, "wheels")),
        ]
        lock = log.seen(os.path.join(work, "requirements.txt"))
        log.run([program, "pip", "sync", "--python", interpreter, *wanted, lock], work)
        compiling = [interpreter, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", f"{location}/lib"]
        log.shell(f"{shlex.join(compiling)} || true", work)  # distributions hold tests of other versions of Python

    def _python(self) -> str:
        return self.text("python", _PYTHON)

    def _checked(self) -> str:
        """The requirements, each pinned, with at least one hash."""
        lines = list(logical_lines(self.lock_text()))
        for number, line in lines:
            if read_pin(line) is None:
                raise self.error(
                    "requirements",
                    f"line {number} of the file is not pinned with its hashes: {line[:120]!r}.",
                    reference="unpinned-requirement",
                    hint="`uv pip compile --generate-hashes requirements.in` writes such a file.",
                )
        if not lines:
            raise self.error("requirements", "the file names no distribution.", reference="unpinned-requirement")
        return "".join(f"{line}\n" for _, line in lines)

    def fetch_ahead(self) -> None:
        """Unless the interpreter, which decides what fits it, is itself to be built."""
        if os.access(self._python(), os.X_OK):
            self._fetch(self._checked())

    def _fetch(self, requirements: str) -> str:
        """The directory of the download cache that has the wheels for this Python."""
        key = f"{requirements}\n{os.path.realpath(self._python())}\n{package_versions(('python3.',))}"
        return self.fetched("wheels", key, lambda directory: self._bring(requirements, directory))

    def _bring(self, requirements: str, directory: str) -> None:
        partial = f"{directory}.partial"
        remove_tree(partial)
        os.makedirs(partial)
        lock = f"{directory}.txt"
        atomic_write(lock, requirements, fsync=False)
        command = [sys.executable, "-m", "pip", "--python", self._python(), "download", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--no-cache-dir", "-d", partial, "-r", lock]
        done = run(command, launch=Launch(environment={**os.environ, **_FIXED}), timeout=FETCH_SECONDS)
        if done.code != 0:
            raise self._unavailable(done.text)
        os.rename(partial, directory)

    def _unavailable(self, text: str) -> Unavailable:
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("WARNING")]
        told = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
        wrong = "DO NOT MATCH THE HASHES" in text
        return Unavailable(
            f"{self.name}: pip cannot bring the wheels: {' '.join(told[:2] or lines[-3:])[:500]}",
            reference="wrong-checksum" if wrong else "source-unreachable",
            context={"tail": lines[-20:]},
            hint="Distributions without a wheel for this Python cannot be used.",
        )
