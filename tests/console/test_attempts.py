"""How many passwords are hashed for whom at a time."""

from __future__ import annotations

from support.for_each import for_each

from audit_emit.console.attempts import OF_ONE, Attempts


@for_each(
    "first, second, same",
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "192.0.2.1", False),
        ("no address", "no address", True),
    ],
)
def test_a_client_is_known_by_its_address_or_network(first: str, second: str, same: bool) -> None:
    attempts = Attempts()
    assert [attempts.begin(first) for _ in range(OF_ONE)] == [0] * OF_ONE
    assert attempts.begin(first) == 429
    assert attempts.begin(second) == (429 if same else 0)


def test_who_ends_makes_room_for_another_one() -> None:
    attempts = Attempts()
    for _ in range(OF_ONE):
        attempts.begin("192.0.2.1")
    attempts.end("192.0.2.1")
    assert attempts.begin("192.0.2.1") == 0
