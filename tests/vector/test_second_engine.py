"""The same in ``vector-vrl``, another build of VRL, which also reads whole configurations."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import pytest
from support import requirements
from support.vector_config import NAMES, text_of, with_everything_offered
from support.vector_lines import (
    DEAD,
    FAR_TIMES,
    NO_SERVICES,
    NO_TIMES,
    NOT_UTF8,
    OTHER_TYPES,
    TIMES,
    WHOLE,
    line,
)
from support.vrl_engine import AUDIT, Dead, ship

LINES = [
    *WHOLE.values(),
    *DEAD,
    *NOT_UTF8,
    *(line(ts=ts) for ts in (*TIMES, *NO_TIMES, *FAR_TIMES)),
    *(line(event_type=event_type) for event_type in OTHER_TYPES),
    *(line(service=service) for service in NO_SERVICES),
]
PROGRAM = f"""
.message = decode_base64!(.message)
{AUDIT}
.message = encode_base64(.message)
.timestamp = to_unix_timestamp(.timestamp, unit: "nanoseconds")
"""


@pytest.fixture(scope="module")
def engine() -> Any:
    if sys.version_info < (3, 12):
        pytest.skip("vector-vrl needs Python 3.12")
    return requirements.package("vector-vrl")


def test_it_makes_the_same_of_every_line(engine: Any) -> None:
    events = [json.dumps({"message": base64.b64encode(text).decode()}) for text in LINES]
    for text, found in zip(LINES, engine.execute_vrl(PROGRAM, events), strict=True):
        expected = ship(text)
        if isinstance(expected, Dead):
            assert found["error"] == f"VRL aborted: {expected.reason}"
        else:
            assert base64.b64decode(found["message"]) == expected.body
            assert int(found["timestamp"]) == expected.time
            assert json.loads(found["audit"]) == expected.labels


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("everything", [False, True])
def test_every_remap_of_a_configuration_compiles(
    engine: Any, name: str, everything: bool, tmp_path: Any
) -> None:
    path = tmp_path / f"{name}.yaml"
    text = text_of(name)
    path.write_text(with_everything_offered(text) if everything else text, encoding="utf-8")
    checked = engine.validate_config(str(path))
    assert checked.ok
    assert "audit" in {transform.name for transform in checked.checked}
    assert not checked.skipped


def test_it_would_tell_of_one_that_does_not(engine: Any, tmp_path: Any) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text_of("file").replace("is_string(", "is_strong("), encoding="utf-8")
    assert not engine.validate_config(str(path)).ok
