"""What was made of an object is remembered as long as the object lives, and never given to another one."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field

from slapos.node.remembering import while_it_lives


@dataclass(frozen=True)
class Thing:
    name: str
    facts: dict[str, str] = field(default_factory=dict)


def test_made_once_for_each_object_also_for_equal_ones() -> None:
    asked: list[str] = []

    @while_it_lives
    def length(thing: Thing) -> int:
        asked.append(thing.name)
        return len(thing.name)

    one, same = Thing("one"), Thing("one")
    assert (length(one), length(one), length(same), length(one)) == (3, 3, 3, 3)
    assert asked == ["one", "one"]


def test_the_place_of_a_dead_object_is_nobody_elses() -> None:
    @while_it_lives
    def name_of(thing: Thing) -> str:
        return thing.name

    for number in range(1000):  # each at the place of the one before it, mostly
        thing = Thing(str(number))
        assert name_of(thing) == str(number)
        del thing
    gc.collect()
    made = [cell.cell_contents for cell in name_of.__closure__ or () if isinstance(cell.cell_contents, dict)]
    assert made == [{}], "nothing of the dead is kept"
