"""How commands of ``slapos cache`` show what they did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import RenderableType

from slapos.cli.output import emit, table
from slapos.model.text import size_text

if TYPE_CHECKING:
    from slapos.build.cache.publish import Pushed


def emit_pushed(done: Sequence[Pushed], url: str) -> None:
    """What became of each part."""

    def render() -> list[RenderableType]:
        rows = [(item.name, item.outcome, size_text(item.size)) for item in done]
        counts = Counter(item.outcome for item in done)
        summary = ", ".join(f"{number} {outcome}" for outcome, number in counts.items()) or "nothing to do"
        return [
            table(("part", "outcome", "size"), rows, "The store has no part that was built here."),
            f"{url}: {summary}",
        ]

    emit({"cache": url, "parts": [asdict(item) for item in done]}, render)
