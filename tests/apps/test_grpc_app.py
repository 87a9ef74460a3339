"""The example on gRPC."""

from __future__ import annotations

from typing import Any

import pytest
from support.requirements import package
from support.tiers import starts_a_server

package("grpcio", "grpc")

import grpc  # noqa: E402
import grpc_app  # noqa: E402


@starts_a_server
def test_who_has_no_token_is_denied_and_who_has_one_acts(records: Any) -> None:
    server, port = grpc_app.made()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        greet = channel.unary_unary("/greeter.Greeter/Greet")
        assert greet(b"ann", metadata=(("authorization", "dev-token"),)) == b"hello ann"
        with pytest.raises(grpc.RpcError):
            greet(b"ann")
    server.stop(0).wait()
    greeted, first, second = records()
    assert greeted["user_id"] == first["user_id"] == "u-17"
    assert greeted["correlation_id"] == first["correlation_id"]
    assert (second["fields"]["outcome"], second["user_id"]) == ("denied", "")
