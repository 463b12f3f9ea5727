"""The decision alone: no database."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from slapos.master.allocation.hosts import Host, decide_host
from slapos.master.allocation.place import LOST_SECONDS, QUIET_SECONDS, Candidate, Surroundings, decide
from slapos.master.allocation.sla import parse_sla

NOW = 1_800_000_000.0  # 2027-01-15 08:00 UTC
FREE = Candidate("COMP-1", release=True, total=10, free=3, seen=int(NOW), built=True)
NOTHING = Surroundings()


def reasons(*candidates: Candidate, around: Surroundings = NOTHING, now: float = NOW, **sla: str) -> tuple[str, ...]:
    decision = decide(parse_sla(sla), candidates, around, now)
    assert decision.choices == ()
    return decision.reasons


def test_the_sentence_of_the_design() -> None:
    lacking = [Candidate(f"COMP-{n}", release=False, total=10, free=10, seen=int(NOW)) for n in range(1, 8)]
    full = [Candidate(f"COMP-{n}", release=True, total=10, free=0, seen=int(NOW)) for n in range(8, 12)]
    lost = Candidate("COMP-12", release=True, total=10, free=5, seen=int(NOW - LOST_SECONDS - 17_280))
    assert reasons(*lacking, *full, lost) == (
        "12 nodes: 7 lack the release, 4 are full (10/10), 1 is offline since 2027-01-14 03:12.",
    )


def test_one_node_is_named() -> None:
    assert reasons(replace(FREE, free=0)) == ("COMP-1 is full (10/10).",)
    assert reasons(replace(FREE, total=0, free=0)) == ("COMP-1 is not formatted.",)
    assert reasons(replace(FREE, total=0, free=0), capability="gpu") == ("COMP-1 lacks the capability gpu.",)
    assert reasons(replace(FREE, seen=0)) == ("COMP-1 is offline since ever.",)
    assert reasons(FREE, network_guid="lan") == ("COMP-1 is not in the network lan.",)
    assert reasons(FREE, instance_guid="SOFTINST-4") == ("COMP-1 does not hold the instance SOFTINST-4.",)


def test_several_sizes_are_listed() -> None:
    sizes = enumerate((4, 8, 8))
    full = [Candidate(f"COMP-{n}", release=True, total=total, free=0, seen=int(NOW)) for n, total in sizes]
    assert reasons(*full) == ("3 nodes: 3 are full (4/4, 8/8).",)


def test_ranking() -> None:
    quiet = replace(FREE, node="COMP-2", free=9, seen=int(NOW - QUIET_SECONDS - 1))
    broken = replace(FREE, node="COMP-3", free=9, built=False, broken=True)
    unbuilt = replace(FREE, node="COMP-4", free=9, built=False)
    fuller, tenth = replace(FREE, node="COMP-5", free=1), replace(FREE, node="COMP-10")
    decision = decide(parse_sla({}), [quiet, broken, unbuilt, fuller, tenth, FREE], NOTHING, NOW)
    assert decision.choices == ("COMP-1", "COMP-10", "COMP-5", "COMP-4", "COMP-3", "COMP-2")


def test_a_named_node_may_be_lost() -> None:
    lost = replace(FREE, seen=0)
    assert decide(parse_sla({"computer_guid": "COMP-1"}), [lost], NOTHING, NOW).choices == ("COMP-1",)


def test_networks_of_nodes_without_one() -> None:
    around = Surroundings(networks=frozenset({"COMP-1", "lan"}))
    free = replace(FREE, node="COMP-2", network="wan")
    decision = decide(parse_sla({"mode": "unique_by_network"}), [FREE, replace(FREE, network="lan"), free], around, NOW)
    assert decision.choices == ("COMP-2",)


def test_what_is_not_understood_is_hopeless() -> None:
    decision = decide(parse_sla({"retention_delay": "nan"}), [FREE], NOTHING, NOW)
    assert decision.hopeless and "retention_delay" in decision.reasons[0]


candidates = st.builds(
    Candidate,
    node=st.integers(1, 30).map(lambda n: f"COMP-{n}"),
    release=st.booleans(),
    total=st.integers(0, 3),
    free=st.integers(0, 3),
    network=st.sampled_from(["", "a", "b"]),
    seen=st.sampled_from([0, int(NOW), int(NOW) - 1_000, int(NOW) - 100_000]),
    built=st.booleans(),
    broken=st.booleans(),
)
slas = st.dictionaries(
    st.sampled_from(["network_guid", "capability", "mode", "spread", "retention_delay", "other"]),
    st.sampled_from(["a", "unique_by_network", "1"]),
)


@given(slas, st.lists(candidates, max_size=6, unique_by=lambda each: each.node), st.frozensets(st.just("COMP-1")))
def test_a_decision_is_a_fitting_node_or_a_reason(
    sla: dict[str, str], nodes: list[Candidate], used: frozenset[str]
) -> None:
    around = Surroundings(spread_nodes=used, networks=used)
    decision = decide(parse_sla(sla), nodes, around, NOW)
    assert bool(decision.choices) != bool(decision.reasons)
    by_name = {each.node: each for each in nodes}
    for choice in decision.choices:
        assert by_name[choice].release and by_name[choice].free > 0
        assert not ("spread" in sla and choice in used)
    assert decide(parse_sla(sla), list(reversed(nodes)), around, NOW) == decision


def test_hosts() -> None:
    hosts = [
        Host("SOFTINST-1", 1, "default", started=True, shared=2, node="COMP-1"),
        Host("SOFTINST-2", 2, "default", started=True, shared=1, node="COMP-1", network="lan"),
        Host("SOFTINST-3", 3, "default", started=False, shared=0, node="COMP-2"),
        Host("SOFTINST-4", 4, "other", started=True, shared=0, node="COMP-1"),
        Host("SOFTINST-5", 5, "default", started=True, shared=0),
    ]
    assert decide_host(parse_sla({}), "default", hosts).host == "SOFTINST-2"
    assert decide_host(parse_sla({"instance_guid": "SOFTINST-1"}), "default", hosts).host == "SOFTINST-1"
    assert decide_host(parse_sla({"computer_guid": "COMP-2"}), "default", hosts).host == "SOFTINST-3"
    assert decide_host(parse_sla({"x": "y"}), "default", hosts).hopeless
    assert decide_host(parse_sla({"network_guid": "wan"}), "default", hosts).reasons == (
        "5 instances of this release: 3 not in the network wan, 1 of another software type than default,"
        " 1 without a partition yet.",
    )
