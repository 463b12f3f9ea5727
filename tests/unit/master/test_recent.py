from __future__ import annotations

from slapos.master.recent import Recent


def test_a_message_comes_before_only_once_it_came() -> None:
    recent = Recent()
    assert not recent.came_before("request", b"a=1")
    assert recent.came_before("request", b"a=1")
    assert not recent.came_before("request", b"a=2")
    assert not recent.came_before("supply", b"a=1"), "the same bytes sent to another method are another message"


def test_the_latest_are_known_and_the_others_forgotten() -> None:
    recent = Recent(size=3)
    for number in range(100):
        assert not recent.came_before("request", b"%d" % number)
    assert all(recent.came_before("request", b"%d" % number) for number in (97, 98, 99))
    assert not recent.came_before("request", b"0")


def test_what_comes_again_stays_known() -> None:
    recent = Recent(size=3)
    assert not recent.came_before("request", b"again")
    for number in range(50):
        recent.came_before("request", b"%d" % number)
        assert recent.came_before("request", b"again")
