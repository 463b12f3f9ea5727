"""When a crashed service is started again."""

from __future__ import annotations

STABLE_SECONDS = 30.0
LONGEST = 60.0


def count_crashes(before: int, lived: float) -> int:
    """Ends in a row that came too soon: one that lived ``STABLE_SECONDS`` starts the count again."""
    return 1 if lived >= STABLE_SECONDS else before + 1


def delay(crashes: int) -> float:
    """Seconds from the end to the next start: at once the first time, then 0.5, 1, 2 … 60."""
    if crashes <= 1:
        return 0.0
    return float(min(LONGEST, 0.5 * 2 ** min(crashes - 2, 10)))
