"""The ``slapos`` command: one ordered table of commands, one handler of errors.

A command parses and prints; what it shows is computed elsewhere (``slapos.slap``, ``slapos.node.operations``,
``slapos.cli.site``).
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import click

from slapos.cli.lazy import Entry, LazyGroup
from slapos.cli.output import print_error
from slapos.model.errors import HyperopenxError, InputError, InternalError, machine_error

INTERRUPTED = 130

_C = "slapos.cli.commands"

COMMANDS = (
    Entry("up", f"{_C}.up:up", "Start a master and a node on this machine, and order a website."),
    Entry("down", f"{_C}.down:down", "Stop all that 'up' started."),
    Entry("status", f"{_C}.status:status", "Show the master, the node and the instances of this machine."),
    Entry("request", f"{_C}.request:request", "Order an instance, or change one."),
    Entry("service", f"{_C}.service.group:service", "Look at instances."),
    Entry("supply", f"{_C}.supply:supply", "Have a release built on a node."),
    Entry("remove", f"{_C}.remove:remove", "Have a release removed from a node."),
    Entry("build", f"{_C}.build:build", "Build a release on this machine, or say what that would do."),
    Entry("why", f"{_C}.why:why", "Say why a part of a release would be built, or not."),
    Entry("lint", f"{_C}.lint:lint", "Check a catalogue of components, stacks and releases."),
    Entry("lock", f"{_C}.lock:lock", "Refresh what a profile pins: versions, sha256, Debian packages."),
    Entry("sbom", f"{_C}.sbom:sbom", "Write the bill of materials of a built release (CycloneDX 1.6)."),
    Entry("cache", f"{_C}.cache.group:cache", "Share built parts: push, pull, sign, serve."),
    Entry("store", f"{_C}.store.group:store", "Look into the stores of built parts, and clean them up."),
    Entry("computer", f"{_C}.computer.group:computer", "Look at nodes."),
    Entry("token", f"{_C}.token.group:token", "Make one-time tokens for nodes and people to join with."),
    Entry("join", f"{_C}.join:join", "Become a user of a master, with a token."),
    Entry("node", f"{_C}.node.group:node", "Run the node of this machine."),
    Entry("master", f"{_C}.master.group:master", "Run a master."),
    Entry("complete", f"{_C}.complete:complete", "Print the code that completes commands in your shell."),
)


def version_text() -> str:
    try:
        return version("hyperopenx")
    except PackageNotFoundError:  # run from sources
        return "0"


@click.group(cls=LazyGroup, entries=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version_text(), prog_name="slapos")
@click.option(
    "--format", "format_", type=click.Choice(["text", "json"]), help="What to print: text for people, or JSON."
)
@click.option("--cfg", type=click.Path(), metavar="FILE", help="Configuration file to use instead of the usual one.")
@click.option("-v", "--verbose", count=True, help="Say more; twice: even more.")
@click.option("-q", "--quiet", is_flag=True, help="Say less.")
@click.option("--log-file", type=click.Path(), metavar="FILE", help="Append what happens to this file.")
@click.option("--log-color/--no-log-color", default=None, help="Colours, or none.")
@click.option("--log-time", is_flag=True, help="Begin each line of the log with its time.")
@click.pass_context
def slapos(ctx: click.Context, /, format_: str | None, cfg: str | None, **log: object) -> None:
    """Order services, run nodes, run a master."""
    from slapos.cli.logs import configure_logs

    if format_ is not None:
        ctx.meta["slapos.format"] = format_
    if cfg is not None:
        ctx.meta["slapos.cfg"] = cfg
    ctx.meta["slapos.quiet"] = bool(log["quiet"])
    configure_logs(log)


def run(words: list[str]) -> int:
    """The exit code of ``slapos <words>``: that of the error's kind; 130 after Ctrl-C."""
    try:
        result = slapos.main(words, prog_name="slapos", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, click.Abort):
        return _interrupted()
    except BrokenPipeError:  # the reader of our output went away, which is its right
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  (door: what is left over is a defect of ours, said in one form)
        if isinstance(error.__cause__, KeyboardInterrupt):  # Python 3.11 wraps one that meets __set_name__
            return _interrupted()
        told = as_ours(error)
        print_error(told, wants_json(words))
        return told.exit_code


def _interrupted() -> int:
    sys.stderr.write("\nInterrupted.\n")
    return INTERRUPTED


def as_ours(error: Exception) -> HyperopenxError:
    """``error`` as one of our tree."""
    if isinstance(error, HyperopenxError):
        return error
    if isinstance(error, click.ClickException):
        return usage_error(error)
    if isinstance(error, OSError):
        return machine_error(error)
    return internal_error(error)


def wants_json(words: Sequence[str]) -> bool:
    """Whether errors are to be JSON: known before parsing, because parsing may be what fails."""
    pairs = itertools.pairwise([*words, ""])
    return any(word == "--format=json" or (word == "--format" and after == "json") for word, after in pairs)


def usage_error(error: click.ClickException) -> InputError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "slapos"
    return InputError(error.format_message(), reference="usage", hint=f"{command} --help")


def internal_error(error: Exception) -> InternalError:
    import traceback

    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return InternalError(
        f"{type(error).__name__}: {error}",
        reference="defect",
        context={"at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]},
        hint="This is a defect of Hyper Open X; please report it with the lines above.",
    )
