"""Times of systemd as those of a crontab."""

from __future__ import annotations

import pytest

from slapos.cookbook.calendar import crontab
from slapos.model.errors import ProfileError
from tests.unit.cookbook.engine import Partition


@pytest.mark.parametrize(
    ("times", "fields"),
    [
        ("4:30", "30 4 * * *"),
        ("*-*-* 4:30", "30 4 * * *"),
        ("*-*-1", "0 0 1 * *"),
        ("6-1,15 12:00:00", "0 12 1,15 6 *"),
        ("mon..fri", "0 0 * * 1-5"),
        ("Mon-Wed,saturday 23:59", "59 23 * * 1-3,6"),
        ("*:0/15", "0-59/15 * * * *"),
        ("8..18/2:5", "5 8-18/2 * * *"),
        ("*/6:0", "0 */6 * * *"),
    ],
)
def test_what_a_crontab_can_say(times: str, fields: str) -> None:
    assert crontab(times) == fields


@pytest.mark.parametrize(
    "times",
    ["", "noday", "24:0", "4:60", "4", "4:0:30", "2026-1-1", "mon *-*-1", "0-1", "1:0 2:0", "*:0/0", "4:x", "-:-"],
)
def test_what_it_cannot(times: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        crontab(times)


def test_an_entry_of_the_field(partition: Partition) -> None:
    text = "[buildout]\nparts = c\n[c]\nrecipe = slapos.cookbook:cron.d\ncron-entries = etc/cron.d\nname = n\n"
    text += "command = ${:run} ${given:x} > log\nrun = echo 'a b'\n"
    partition.done(text + "time = mon..fri 4:30\n", given={"x": "c; d"})
    assert partition.option("c", "schedule") == "30 4 * * 1-5"
    assert "echo 'a b' 'c; d' > log" in (partition.directory / "etc/cron.d/n").read_text()
    partition.done(text + "time = daily\n", given={"x": "c"})
    with pytest.raises(ProfileError, match="'sometimes' is no time: 'sometimes' is no day of the week"):
        partition.done(text + "time = sometimes\n", given={"x": "c"})
