"""The entry point: the table of commands, exit codes, errors in both forms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from slapos.cli import main as entry
from slapos.cli.lazy import is_pair, spread_values
from slapos.model.errors import KINDS, HyperopenxError, NotFound


def commands() -> Iterator[tuple[str, click.Command]]:
    def below(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield name, command
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name)
            for child in getattr(command, "entries", {}):
                found = command.get_command(context, child)
                assert found is not None
                yield from below(f"{name} {child}", found)

    return below("slapos", entry.slapos)


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_has_help(name: str, command: click.Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.help, name
    assert command.help.split("\n")[0].endswith((".", "):")) or "." in command.help, name
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"
    assert entry.run([*name.split()[1:], "--help"]) == 0
    assert f"Usage: {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_takes_format_and_cfg(name: str, command: click.Command) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert (isinstance(command, click.Group) and name != "slapos") or {"--format", "--cfg"} <= options, name


def test_summaries_are_sentences() -> None:
    assert [item.name for item in entry.COMMANDS if not item.summary.endswith(".")] == []


@pytest.mark.parametrize("words", [["nonsense"], ["service", "nonsense"], ["request"], ["up", "--nonsense"]])
def test_wrong_words_are_input_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run([*words, "--format", "json"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["reference"] == "usage"
    assert error["hint"].startswith("slapos")


def test_every_kind_of_error_has_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KINDS.values():
        monkeypatch.setattr(entry, "slapos", raising(kind("It failed.")))
        assert entry.run([]) == kind.exit_code


def test_error_shows_its_four_parts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    error = NotFound(
        "No such thing [here].", reference="no-thing", context={"thing": "x\ny", "n": 3}, hint="Look again."
    )
    monkeypatch.setattr(entry, "slapos", raising(error))
    assert entry.run([]) == 3
    shown = capsys.readouterr().err
    assert "no-thing: No such thing [here]." in shown
    assert "thing: \n    x\n    y" in shown
    assert "n: 3" in shown
    assert "→ Look again." in shown
    assert entry.run(["--format=json"]) == 3
    assert json.loads(capsys.readouterr().err) == {"error": error.as_data()}


def test_defect_is_told_as_ours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(entry, "slapos", raising(ZeroDivisionError("division by zero")))
    assert entry.run([]) == 70
    assert "defect: ZeroDivisionError: division by zero" in capsys.readouterr().err


def test_machine_says_no(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(entry, "slapos", raising(PermissionError(13, "Permission denied", "/some/file")))
    assert entry.run([]) == 71
    assert "/some/file" in capsys.readouterr().err


def test_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "slapos", raising(KeyboardInterrupt()))
    assert entry.run([]) == 130


def test_without_configuration_it_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HYPEROPENX_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("SLAPOS_CLIENT_CONFIGURATION", raising=False)
    assert entry.run(["service", "list"]) == 2
    assert "no-client-configuration" in capsys.readouterr().err


def test_unreachable_master_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "client.cfg"
    config.write_text("[slapos]\nmaster_url = https://127.0.0.1:1\n")
    monkeypatch.setattr("slapos.slap.caller.delays", lambda _: iter(()))
    assert entry.run(["service", "list", "--cfg", str(config)]) == 69
    assert "https://127.0.0.1:1" in capsys.readouterr().err


def raising(error: BaseException) -> object:
    class Stand:
        def main(self, *_: object, **__: object) -> None:
            raise error

    return Stand()


def test_several_values_after_one_option() -> None:
    words = ["T", "--parameters", "a=1", "b=http://x/?q=1", "URL", "--sla", "x=1", "--wait", "c=2"]
    spread = list(spread_values(words, frozenset({"--parameters", "--sla"})))
    assert spread == [
        "T", "--parameters", "a=1", "--parameters", "b=http://x/?q=1", "URL", "--sla", "x=1", "--wait", "c=2",
    ]  # fmt: skip


def test_urls_are_no_pairs() -> None:
    assert not is_pair("https://example.org/?a=b")
    assert not is_pair("--wait=1")
    assert is_pair("a=https://example.org/")


def test_kinds_are_all_told() -> None:
    assert all(issubclass(kind, HyperopenxError) for kind in KINDS.values())


def test_interrupt_wrapped_by_python(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

    monkeypatch.setattr(entry.slapos, "main", interrupted)
    assert entry.run(["status"]) == entry.INTERRUPTED
    assert "Interrupted." in capsys.readouterr().err
