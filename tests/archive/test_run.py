from __future__ import annotations

from pathlib import Path

from support.archived_log import RING, SignedLog
from support.object_store import Store

from audit_emit._format.manifest import Manifest
from audit_emit._verify.verify import Options, verify_paths


def test_closed_segments_that_are_signed_go_up_with_manifests_that_follow_each_other(
    tmp_path: Path, store: Store
) -> None:
    log = SignedLog(tmp_path / "log").add(200)
    done = log.archive(store)
    assert len(done.made) == len(log.closed()) > 2
    keys = store.names()
    previous = ""
    for one in done.made:
        data = store.get(one.key)
        assert Manifest.from_bytes(data, one.key) == one
        assert one.check(RING) == "ok"
        assert one.previous == previous
        previous = one.digest()
        assert one.key_of(one.records) in keys
    log.close()


def test_a_log_that_is_half_in_the_archive_verifies_as_one(tmp_path: Path, store: Store) -> None:
    log = SignedLog(tmp_path / "log").add(200)
    log.archive(store)
    log.sign()
    where = f"s3://{store.name}/audit"
    whole = verify_paths([str(log.directory)], Options(RING))[0]
    closed = log.closed()
    for path in closed[:2]:
        path.unlink()
    (alone,) = verify_paths([str(log.directory)], Options(RING))
    assert alone.report.exit_status == 1
    (both,) = verify_paths([str(log.directory), where], Options(RING))
    assert both.report.exit_status == 0, both.report.findings
    assert both.report.records == whole.report.records
    (cold,) = verify_paths([where], Options(RING))
    assert cold.report.exit_status == 0, cold.report.findings
    log.close()
