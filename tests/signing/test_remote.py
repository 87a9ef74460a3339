"""Keys that are elsewhere: pinned, verified, in time, and left alone after a failure."""

from __future__ import annotations

import os
from collections.abc import Callable
from queue import SimpleQueue

import pytest

from audit_emit._signing.remote import Held, RemoteKey
from audit_emit._signing.trusted_keys import Ed25519Key
from audit_emit.errors import SignerError

KEY = Ed25519Key.from_seed(bytes(range(32)))
OTHER = Ed25519Key.from_seed(bytes(range(1, 33)))


class Service:
    """Answers as a function says, and counts."""

    name = "the service"

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer
        self.asked = 0

    def sign(self, public: bytes, text: bytes, timeout: float) -> bytes:
        assert public == KEY.public
        self.asked += 1
        return self.answer(text)

    def keys(self, timeout: float) -> list[Held]:
        return []


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def remote(service: Service, clock: Clock | None = None, timeout: float = 30.0) -> RemoteKey:
    return RemoteKey(service, KEY.public, timeout=timeout, clock=clock or Clock())


def reason_of(key: RemoteKey) -> str:
    with pytest.raises(SignerError) as caught:
        key.sign(b"text")
    return caught.value.reason


def test_it_is_an_ed25519_key_that_signs() -> None:
    key = remote(Service(KEY.sign))
    assert key.secret
    assert key.verify(b"text", key.sign(b"text"))
    assert key.fingerprint == KEY.fingerprint
    assert key.to_vkey("a") == KEY.to_vkey("a")


@pytest.mark.parametrize(
    "answer",
    [OTHER.sign, lambda _: b"", lambda _: bytes(64), lambda text: KEY.sign(text + b" ")],
    ids=["another key", "nothing", "zeros", "another text"],
)
def test_what_the_pinned_key_did_not_sign_is_refused(answer: Callable[[bytes], bytes]) -> None:
    assert reason_of(remote(Service(answer))) == "bad-signature"


def raises(error: Exception) -> Callable[[bytes], bytes]:
    def answer(_: bytes) -> bytes:
        raise error

    return answer


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (SignerError("refused", "no"), "refused", "no"),
        (ConnectionRefusedError(111, "Connection refused"), "unreachable", "Connection refused"),
        (RuntimeError("with a secret"), "unreachable", "RuntimeError"),
    ],
    ids=str,
)
def test_a_failure_is_told_without_what_others_may_quote(
    error: Exception, reason: str, said: str
) -> None:
    with pytest.raises(SignerError) as caught:
        remote(Service(raises(error))).sign(b"text")
    assert caught.value.reason == reason
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_after_a_failure_it_is_left_alone_longer_each_time() -> None:
    service, clock = Service(raises(OSError())), Clock()
    key = remote(service, clock)
    for pause in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300):
        assert reason_of(key) == "unreachable"
        clock.now += pause - 0.5
        assert reason_of(key) == "backing-off"
        clock.now += 0.5
    assert service.asked == 11


def test_a_success_forgets_the_failures() -> None:
    service, clock = Service(raises(OSError())), Clock()
    key = remote(service, clock)
    for _ in range(5):
        assert reason_of(key) == "unreachable"
        clock.now += 1000
    service.answer = KEY.sign
    key.sign(b"text")
    service.answer = raises(OSError())
    assert reason_of(key) == "unreachable"
    clock.now += 1
    assert reason_of(key) == "unreachable"  # and not backing off


def test_a_service_that_hangs_is_given_up_and_not_asked_again_meanwhile() -> None:
    release: SimpleQueue[bytes] = SimpleQueue()
    service, clock = Service(lambda _: release.get()), Clock()
    key = remote(service, clock, timeout=0.05)
    assert reason_of(key) == "timeout"
    clock.now += 1000
    assert reason_of(key) == "timeout"
    assert service.asked == 1
    release.put(b"")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork with threads
def test_a_forked_child_begins_anew() -> None:
    """Its parent may be waiting for a service, with the lock."""
    key = remote(Service(KEY.sign))
    key._lock.acquire()
    child = os.fork()
    if child == 0:
        os._exit(0 if key.sign(b"text") == KEY.sign(b"text") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
