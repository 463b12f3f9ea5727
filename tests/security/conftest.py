"""How many cases each test of the folder tried, at the end of the run."""

from __future__ import annotations

import pytest

PROPERTY = "cases"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line per dialect: cases, and how often which status came back."""
    rows = [
        (report.nodeid.rpartition("::")[2], value)
        for kind in ("passed", "failed")
        for report in terminalreporter.stats.get(kind, [])
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if not rows:
        return
    terminalreporter.section("generated requests")
    for name, value in sorted(rows):
        terminalreporter.write_line(f"{name:32} {value}")
    total = sum(int(str(value).split()[0].replace(",", "")) for _, value in rows)
    terminalreporter.write_line(f"{'all':32} {total:,}")
