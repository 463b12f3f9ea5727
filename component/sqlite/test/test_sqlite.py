"""sqlite: keeps data, searches text, and has the fixes that were added."""

from __future__ import annotations

from pathlib import Path

from slapos.testing.components import Component


def sql(component: Component, database: Path, text: str) -> str:
    done = component.run("sqlite3", "-bail", str(database), stdin=text.encode())
    assert done.code == 0, done.text
    return done.text


def test_what_was_committed_is_kept(component: Component, tmp_path: Path) -> None:
    database = tmp_path / "data.sqlite"
    sql(component, database, "PRAGMA journal_mode=WAL; CREATE TABLE t(n INTEGER PRIMARY KEY, x TEXT NOT NULL);")
    sql(component, database, "INSERT INTO t(x) VALUES ('one'), ('two'); BEGIN; DELETE FROM t;")
    assert (
        sql(component, database, "SELECT count(*), group_concat(x) FROM t; PRAGMA integrity_check;")
        == "2|one,two\nok\n"
    )


def test_extensions_that_programs_expect(component: Component, tmp_path: Path) -> None:
    text = """
        CREATE VIRTUAL TABLE page USING fts5(body);
        INSERT INTO page VALUES ('the quick brown fox'), ('a lazy dog');
        SELECT rowid FROM page WHERE page MATCH 'lazy';
        CREATE VIRTUAL TABLE box USING rtree(id, low, high);
        SELECT json_extract('{"a": [1, 2]}', '$.a[1]'), sqrt(16), sqlite_version();
    """
    assert sql(component, tmp_path / "data.sqlite", text) == "2\n2|4.0|3.46.1\n"


def test_an_error_has_its_place(component: Component, tmp_path: Path) -> None:
    done = component.run("sqlite3", str(tmp_path / "data.sqlite"), "SELECT misspelt")
    assert done.code != 0
    assert "no such column: misspelt" in done.text
