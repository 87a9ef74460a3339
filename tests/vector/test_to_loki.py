"""What ``vector/audit.vrl`` lets out, Loki takes, and gives back byte for byte."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from support.loki_program import RealLoki
from support.vector_lines import NO_SERVICES, OTHER_TYPES, TYPES, WHOLE, line
from support.vrl_engine import shipped

pytestmark = pytest.mark.loki


def test_every_body_comes_back_under_its_labels(loki: RealLoki) -> None:
    now = time.time_ns()
    lines = [
        *WHOLE.values(),
        *(line(event_type=event_type) for event_type in (*TYPES, *OTHER_TYPES)),
        *(line(service=service) for service in NO_SERVICES),
    ]
    sent = [shipped(one) for one in lines if len(one) < 256 * 1024]
    streams: list[dict[str, Any]] = []
    for n, one in enumerate(sent, start=now - len(sent)):
        values = [[str(n), one.body.decode()]]
        streams.append({"stream": {"job": "audit", **one.labels}, "values": values})
    answer = httpx.post(
        f"{loki.url}/loki/api/v1/push",
        content=json.dumps({"streams": streams}),
        headers={"X-Scope-OrgID": loki.tenant, "Content-Type": "application/json"},
    )
    assert answer.status_code == 204, answer.text
    assert [text.encode() for text in loki.lines('{job="audit"}')] == [one.body for one in sent]
    for one in sent[-1], sent[-len(NO_SERVICES) - 1]:
        chosen = ",".join(f"{name}={json.dumps(value)}" for name, value in one.labels.items())
        assert one.body.decode() in loki.lines(f'{{job="audit",{chosen}}}')
