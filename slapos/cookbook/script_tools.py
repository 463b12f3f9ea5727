"""What the Python scripts of ``slapos.recipe.build`` find as ``self``, and the functions beside it (spec 08 §4)."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence

from slapos.build.fetch.field_sources import FieldSource
from slapos.build.recipe import Recipe
from slapos.build.unpack import apply_patches, unpack
from slapos.cookbook.field_environment import environment_of
from slapos.cookbook.field_patches import file_bytes
from slapos.cookbook.field_sources import checked_md5, fetch, located
from slapos.model.errors import BuildFailed, InputError
from slapos.system.processes import Launch, run
from slapos.system.removal import remove_tree

_SUCCEEDED = "ok"


class Tools:
    """``self`` of a script: names and behaviour are those of the field, so scripts of the field run unchanged."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.buildout = recipe.buildout
        self.name = recipe.name
        self.options = recipe.options
        self.logger = recipe.logger
        self.environ = environment_of(recipe)
        self.cleanup_list: list[str] = []
        self.cleanup_dir_list = self.cleanup_file_list = self.cleanup_list

    @property
    def location(self) -> str:
        """Where the part is installed."""
        return str(self.options["location"])

    def download(
        self, url: str = "", md5sum: str | None = None, offline: bool | None = None, alternate_url: str = ""
    ) -> str:
        """The path of the file that a URL names, by default that of the options ``url`` and ``md5sum``."""
        view = self.recipe.view
        if not url:
            url, md5sum = view.text("url"), view.text("md5sum", "")
        mirrors = (located(view, alternate_url),) if alternate_url else ()
        source = FieldSource(located(view, url), checked_md5(view, "md5sum", md5sum or ""), mirrors)
        return fetch(self.recipe, source, offline)

    def extract(self, path: str) -> str:
        """A new temporary directory with what an archive holds."""
        top = tempfile.mkdtemp(prefix=f"{self.name[:40].replace('/', '_')}.")
        self.cleanup_list.append(top)
        directory = os.path.join(top, "tree")
        unpack(path, directory, strip=False)
        return directory

    def copyTree(self, origin: str, destination: str, ignore_dir_list: Sequence[str] = ()) -> None:
        """Copy a directory to a place where nothing is; names of ``ignore_dir_list`` are left out."""
        if os.path.exists(destination):
            raise shutil.Error(f"Destination already exists: {destination}")
        self.logger.info("Copying %r to %r", origin, destination)
        try:
            shutil.copytree(origin, destination, symlinks=True, ignore=lambda folder, names: list(ignore_dir_list))
        except BaseException:
            self.cleanup_list.append(destination)
            raise

    def pipeCommand(
        self, command_list_list: Sequence[Sequence[str]], cwd: str | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        """Run commands, the output of each being the input of the next; all must succeed."""
        with tempfile.TemporaryDirectory() as directory:
            told = [os.path.join(directory, str(index)) for index in range(len(command_list_list))]
            stages = [
                f"{{ {shlex.join(command)} && echo {_SUCCEEDED} > {shlex.quote(mark)}; }}"
                for command, mark in zip(command_list_list, told, strict=True)
            ]
            _run(["/bin/sh", "-c", " | ".join(stages)], cwd, env)
            failed = [
                shlex.join(command)
                for command, mark in zip(command_list_list, told, strict=True)
                if not os.path.exists(mark)
            ]
        if failed:
            raise _failed(self.name, " | ".join(failed), "")

    def applyPatchList(
        self,
        patch_string: str | None,
        patch_options: str | None = None,
        patch_binary: str | None = None,
        cwd: str | None = None,
    ) -> None:
        """Apply patches, one a line: ``<url> [<md5> [<options>]]``."""
        for line in filter(None, map(str.strip, (patch_string or "").splitlines())):
            place, digest, options = (*line.split(None, 2), "", "")[:3]
            digest = "" if digest.lower() == "unknown" else digest
            data = file_bytes(self.recipe, "patches", f"{place}#{digest}")
            words = shlex.split(options or patch_options or "")
            apply_patches(cwd or os.getcwd(), [(place, data)], words, (patch_binary or "patch").strip())

    def clean_up(self) -> None:
        """Remove what the script left in its list."""
        for path in self.cleanup_list:
            if os.path.lexists(path):
                remove_tree(path)
        self.cleanup_list.clear()


def call(
    command: Sequence[str] | str, shell: bool = False, cwd: str | None = None, env: Mapping[str, str] | None = None
) -> None:
    """Run a command without input; a failure is an error."""
    words = ["/bin/sh", "-c", command] if isinstance(command, str) and shell else [*command]
    done = _run([os.fspath(word) for word in words], cwd, env)
    if done[0] != 0:
        raise _failed(str(words[0]), shlex.join(map(str, words)), done[1])


def guessworkdir(path: str) -> str:
    """The only entry of a directory, else the directory."""
    names = os.listdir(path)
    return os.path.join(path, names[0]) if len(names) == 1 else path


def is_true(value: str | None, default: bool = False) -> bool:
    """Exactly ``true`` or ``false``; ``default`` for None."""
    if value not in ("true", "false", None):
        raise InputError(f"{value!r} is neither true nor false.", context={"field": "value"})
    return default if value is None else value == "true"


def _run(command: list[str], cwd: str | None, env: Mapping[str, str] | None) -> tuple[int | None, str]:
    launch = Launch(directory=cwd or os.getcwd(), environment=os.environ if env is None else env)
    done = run(command, launch=launch)
    return done.code, done.text


def _failed(name: str, command: str, output: str) -> BuildFailed:
    return BuildFailed(
        f"{name}: the command {command[:200]!r} failed.",
        reference="build-command-failed",
        context={"command": command, "tail": output.splitlines()[-30:]},
    )
