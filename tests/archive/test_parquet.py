"""Archived records as Parquet."""

from __future__ import annotations

from pathlib import Path

from support import requirements
from support.archived_log import SignedLog
from support.object_store import Store

from audit_emit.cli import main
from audit_emit.cli._exit import Exit


def test_archived_records_are_found_with_duckdb_and_written_once(
    store: Store, tmp_path: Path
) -> None:
    duckdb = requirements.package("duckdb")
    log = SignedLog(tmp_path / "log").add(150, note="it's \u00e4 \U0001f600")
    made = log.archive(store).made
    target = tmp_path / "search's"
    assert main(["archive", "parquet", str(target)]) == Exit.OK
    files = sorted(target.rglob("*"))
    assert [path.suffix for path in files if path.is_file()] == [".parquet"] * len(made)
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT seq, hash, CAST(fields->>'n' AS INTEGER), fields->>'note' "
            "FROM read_parquet(?) WHERE event_type = 'secret.set' ORDER BY seq",
            [str(target / "shop" / "*" / "*.parquet")],
        ).fetchall()
    assert [row[2] for row in rows] == list(range(len(rows)))
    assert {row[3] for row in rows} == {"it's \u00e4 \U0001f600"}
    assert rows[-1][0] <= made[-1].last_seq
    before = {path: path.stat().st_mtime_ns for path in files}
    assert main(["archive", "parquet", str(target)]) == Exit.OK
    assert {path: path.stat().st_mtime_ns for path in sorted(target.rglob("*"))} == before
    log.close()


def test_no_text_keeps_a_record_out_of_the_table(store: Store, tmp_path: Path) -> None:
    duckdb = requirements.package("duckdb")
    log = SignedLog(tmp_path / "log").add(60, note="half \ud800 of \\ud800 \U0001f600")
    made = log.archive(store).made
    target = tmp_path / "search"
    assert main(["archive", "parquet", str(target)]) == Exit.OK
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT seq, fields->>'note' FROM read_parquet(?) ORDER BY seq",
            [str(target / "shop" / "*" / "*.parquet")],
        ).fetchall()
    assert [row[0] for row in rows] == list(range(1, made[-1].last_seq + 1))
    assert {row[1] for row in rows if row[1]} == {"half \ufffd of \\ud800 \U0001f600"}
    log.close()
