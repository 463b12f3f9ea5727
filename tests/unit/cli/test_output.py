"""What is printed of errors and of texts that strangers wrote."""

from __future__ import annotations

import json

import pytest
from rich.text import Text

from slapos.cli import output
from slapos.model.errors import BuildFailed, HyperopenxError, ProfileError


def shown(error: HyperopenxError) -> list[str]:
    return [line.plain for line in output.error_lines(error.as_data())]


def test_failing_command_shows_its_place_its_last_lines_and_the_log_once() -> None:
    context = {"command": ["/bin/sh", "x"], "code": 2, "log": "/l", "tail": ["a", "b"], "part": "tool"}
    error = BuildFailed(
        "tool: It failed.", reference="f", context={**context, "file": "/p.cfg", "line": 4}, hint="The log is /l."
    )
    assert shown(error) == [
        "error f: tool: It failed.",
        "  file: /p.cfg:4",
        "  last lines: \n    a\n    b",
        "  → The log is /l.",
    ]


def test_what_the_sentence_says_is_not_repeated() -> None:
    place = {"file": "/p.cfg", "line": 4, "section": "a", "option": "b"}
    message = "/p.cfg:4 [a] b: is mandatory."
    error = ProfileError(message, reference="m", context={**place, "log": "/l", "tail": ["x", f"a failed: {message}"]})
    assert shown(error) == [f"error m: {message}", "  log: /l"]


def test_every_place_that_was_tried_is_a_line() -> None:
    tried = [["https://a/x", "it is away"], ["https://b/x", "404"]]
    assert "  attempts: \n    https://a/x: it is away\n    https://b/x: 404" in shown(
        BuildFailed("No.", context={"attempts": tried})
    )


def test_a_terminal_gets_nothing_to_obey(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "a\x1b]0;title\x07\u009b31m\rb\tc\nd"
    output.stdout().print(Text(evil))
    printed = capsys.readouterr().out
    assert not set("\x1b\x07\u009b\r") & set(printed)
    assert "d\n" in printed
    output.emit({"x": evil}, lambda: Text(""))
    assert "\ufffd" in printed


def test_json_stays_what_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(output, "is_json", lambda: True)
    evil = "a\x1b\u009b31m\x7f é\n"
    output.emit({"x": evil}, lambda: Text(""))
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"x": evil}
    assert not set("\x1b\u009b\x7f") & set(printed)
