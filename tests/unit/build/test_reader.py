"""The language of profiles: the same as buildout's own parser reads, plus where each option was written."""

from __future__ import annotations

import io

import pytest
import zc.buildout.configparser
from hypothesis import given, settings
from hypothesis import strategies as st

from slapos.build.options import Origin
from slapos.build.profile.reader import final_text, parse
from slapos.model.errors import ProfileError

LINES = st.sampled_from(
    [
        "[a]",
        "[b] # comment",
        "[a:python3]",
        "[c:python2]",
        '[d: platform_system == "Linux"]',
        "x = 1",
        "x=",
        "y = two words",
        "  continued",
        "    deeper",
        "\tby tab",
        "",
        "   ",
        "# comment",
        "; comment",
        "  # inside",
        "<= b",
        "long =",
        "x = ${a:y} $${z}",
        "z = a = b",
    ]
)


@given(st.lists(LINES, max_size=14))
@settings(max_examples=200)
def test_same_as_buildout(lines: list[str]) -> None:
    """Additions (``+=``) apart: ours keeps them as steps, buildout under another name."""
    text = "\n".join(["[first]", *lines, ""])
    try:
        expected = zc.buildout.configparser.parse(io.StringIO(text), "f", zc.buildout.buildout._default_globals)
    except zc.buildout.configparser.ParsingError:
        if "python2" not in text:  # ours does not look into a section whose condition does not hold
            with pytest.raises(ProfileError):
                parse(text, "f")
        return
    found = {
        name: {option: final_text(steps) for option, steps in section.items()}
        for name, section in parse(text, "f").items()
    }
    assert found == expected


def test_every_option_knows_its_line() -> None:
    section = parse("# top\n[a]\nx = 1\n\nlong =\n  one\n  two\ny += 2\n", "/p.cfg")["a"]
    assert {name: steps[-1].origin.line for name, steps in section.items()} == {"x": 3, "long": 5, "y": 8}
    assert section["x"][-1].origin == Origin("/p.cfg", 3)


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("x = 1\n", 1, "before the first"),
        ("[a]\nx = 1\nnothing\n", 3, "neither an option"),
        ("[a:no_such_name]\nx = 1\n", 1, "cannot be evaluated"),
        ('[a]\nx = pre !json!"y"\n', 2, "whole option"),
    ],
)
def test_what_is_no_profile_names_file_and_line(text: str, line: int, sentence: str) -> None:
    with pytest.raises(ProfileError, match=sentence) as caught:
        parse(text, "/p.cfg")
    assert caught.value.context["file"] == "/p.cfg"
    assert caught.value.context["line"] == line
    assert "/p.cfg:" in caught.value.message
