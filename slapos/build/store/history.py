"""How long parts took when they were built, from the records of the store."""

from __future__ import annotations

from slapos.build.store.store import Store


def expected_seconds(store: Store) -> dict[str, float]:
    """Part → seconds of its last build, whatever it was made from then."""
    last: dict[str, tuple[float, float]] = {}
    for stored in store.parts():
        built = (stored.record.built_at, stored.record.total_seconds)
        last[stored.part] = max(last.get(stored.part, built), built)
    return {part: seconds for part, (_, seconds) in last.items()}
