# ruff: noqa: PIE807, PLW0108 - see CASES
"""Values that break encoders: ``CASES`` is a list of (name, factory).

Each factory makes a new value. ``SECRET`` is in many of them, in places where it must not show.
"""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import io
import ipaddress
import pathlib
import threading
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import pydantic

from audit_emit._redaction.redactor import Secret

SECRET = "ghp_" + "C4n4ryC4n4ryC4n4ryC4n4ryC4n4ry123456"
"""Found by what it looks like, wherever it stands."""
PLAIN_SECRET = "correct horse battery canary"
"""Found only by the name it stands under."""

Case = tuple[str, Callable[[], Any]]


class Raises:
    def __repr__(self) -> str:
        raise RuntimeError(SECRET)

    __str__ = __repr__
    __len__ = __iter__ = __hash__ = __eq__ = __bool__ = __repr__  # type: ignore[assignment]


class BadStr:
    def __str__(self) -> str:
        raise RuntimeError(SECRET)


class NotStr:
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307 - the point


class Huge:
    def __str__(self) -> str:
        return "x" * 1_000_000


class Talks:
    """Its text holds a secret."""

    def __str__(self) -> str:
        return f"Config(password={PLAIN_SECRET!r}, token={SECRET})"


class Proxy:
    """Pretends to be a dict, as lazy objects do, and fails when it is looked at."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("outside of the request")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("outside of the request")


class Query:
    """As a lazy query set: counts how often it is evaluated."""

    evaluated = 0

    def _run(self) -> Any:
        Query.evaluated += 1
        raise AssertionError("the query ran")

    __iter__ = __len__ = __getitem__ = __repr__ = __str__ = __bool__ = _run


class Orm:
    _sa_instance_state = None

    def __getattribute__(self, name: str) -> Any:
        Query.evaluated += 1
        raise AssertionError("the row was loaded")


class StrSub(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("not yours")

    __repr__ = __str__


class IntSub(int):
    def __repr__(self) -> str:
        raise RuntimeError("not yours")

    __str__ = __repr__


class FloatSub(float):
    def __repr__(self) -> str:
        raise RuntimeError("not yours")


class DictSub(dict[Any, Any]):
    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("not yours")

    items = keys = values = __len__ = __iter__  # type: ignore[assignment]


class ListSub(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("not yours")

    __len__ = __iter__  # type: ignore[assignment]


class BadMapping(Mapping[Any, Any]):
    def __getitem__(self, key: Any) -> Any:
        if key == "b":
            raise RuntimeError(SECRET)
        return 1

    def __iter__(self) -> Iterator[Any]:
        yield "a"
        yield "b"

    def __len__(self) -> int:
        raise RuntimeError(SECRET)


class Endless(Mapping[Any, Any]):
    def __getitem__(self, key: Any) -> Any:
        return key

    def __iter__(self) -> Iterator[Any]:
        n = 0
        while True:
            yield n
            n += 1

    def __len__(self) -> int:
        return 2**62


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Leaky(enum.Enum):
    TOKEN = SECRET


class StrEnum(str, enum.Enum):  # noqa: UP042 - not the same
    A = "a"


class Point(NamedTuple):
    x: int
    password: str


@dataclasses.dataclass
class Login:
    user: str = "u"
    password: str = PLAIN_SECRET
    hidden: str = dataclasses.field(default=PLAIN_SECRET, repr=False)


@dataclasses.dataclass(slots=True)
class Slotted:
    api_key: str = PLAIN_SECRET


class Struct(msgspec.Struct):
    client_secret: str = PLAIN_SECRET
    unset: int | msgspec.UnsetType = msgspec.UNSET


class Model(pydantic.BaseModel):
    user: str = "u"
    dbPass: str = PLAIN_SECRET  # noqa: N815 - the point
    token_count: int = 3
    other: pydantic.SecretStr = pydantic.SecretStr(PLAIN_SECRET)
    raw: pydantic.SecretBytes = pydantic.SecretBytes(PLAIN_SECRET.encode())


class BadZone(dt.tzinfo):
    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        raise RuntimeError("no zone")

    dst = tzname = utcoffset  # type: ignore[assignment]


class BadMeta(type):
    def __hash__(cls) -> int:
        raise RuntimeError("no hash")

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("no equality")

    def __repr__(cls) -> str:
        raise RuntimeError("no repr")

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError("no attributes")


class OfBadMeta(metaclass=BadMeta):
    pass


class LyingMeta(type):
    """Equal to every type, and in the place of str in every table."""

    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return hash(str)


class OfLyingMeta(metaclass=LyingMeta):
    pass


class UnhashableMeta(type):
    __hash__ = None  # type: ignore[assignment]


class OfUnhashableMeta(metaclass=UnhashableMeta):
    pass


class LyingStr(str):
    """A text that claims to be another one."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("key")


class NamelessMeta(type):
    @property
    def __name__(cls) -> Any:  # type: ignore[override]
        raise ValueError(SECRET)


class Nameless(metaclass=NamelessMeta):
    def __str__(self) -> str:
        raise ValueError(SECRET)


class NamelessError(Exception, metaclass=NamelessMeta):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise ValueError(SECRET)


class BadSecret:
    def get_secret_value(self) -> str:
        raise RuntimeError(SECRET)


def cycle() -> Any:
    inner: dict[str, Any] = {"a": []}
    inner["a"].append(inner)
    return inner


def deep(levels: int = 10_000) -> Any:
    value: Any = SECRET
    for _ in range(levels):
        value = [value]
    return value


def laughs() -> Any:
    value: Any = ["ha"] * 10
    for _ in range(10):
        value = [value] * 10
    return value


def released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


async def _never() -> None: ...


def coroutine() -> Any:
    made = _never()
    made.close()
    return made


def pem() -> str:
    dashes = "-" * 5
    kind = "RSA PRIVATE KEY"
    return f"{dashes}BEGIN {kind}{dashes}\n{PLAIN_SECRET}\n{dashes}END {kind}{dashes}"


# A factory is always a lambda: pytest looks into classes, and these do not like it.
CASES: list[Case] = [
    ("none", lambda: None),
    ("text", lambda: "x"),
    ("list", lambda: [1, 2]),
    ("empty", lambda: {}),
    ("cycle", lambda: cycle()),
    ("deep", lambda: deep()),
    ("laughs", lambda: laughs()),
    ("nan", lambda: [float("nan"), float("inf"), -float("inf"), -0.0, 1e308]),
    ("numbers", lambda: [2**53 - 1, 2**53, -(2**53), 2**64, 10**400, 10**5000, -(10**5000)]),
    ("complex", lambda: [1j, fractions.Fraction(1, 3), decimal.Decimal("1.10")]),
    ("decimal", lambda: [decimal.Decimal("sNaN"), decimal.Decimal("1E+999999")]),
    ("surrogate", lambda: {"a": "\ud800", "\udfff": "b", "pair": "\ud83d\ude00"}),
    ("controls", lambda: "\x00\x1b[31m\r\n\t\x7f\x85\x9b\u2028\u202e\u2066\u200f\u061c\u200d"),
    ("combining", lambda: "a" + "\u0301" * 20_000),
    ("bytes", lambda: [b"", b"\x00\xff", bytearray(b"abc"), memoryview(b"abc"), b"x" * 5000]),
    ("released", lambda: released()),
    ("strided", lambda: memoryview(b"abcdef")[::2]),
    ("array", lambda: array.array("d", [1.0, 2.0])),
    ("times", lambda: [dt.datetime(2026, 1, 2), dt.date(2026, 1, 2), dt.time(1, 2)]),  # noqa: DTZ001
    (
        "aware",
        lambda: [
            dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=1, seconds=2))),
            dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))),
            dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone(-dt.timedelta(hours=5))),
            dt.time(1, 2, tzinfo=dt.UTC),
            dt.timedelta.max,
        ],
    ),
    ("bad zone", lambda: dt.datetime(2026, 1, 2, tzinfo=BadZone())),
    ("ids", lambda: [uuid.UUID(int=5), pathlib.Path("/tmp/x"), ipaddress.ip_address("::1")]),
    ("network", lambda: ipaddress.ip_network("10.0.0.0/8")),
    ("enums", lambda: [Colour.RED, Colour.BLUE, StrEnum.A]),
    ("records", lambda: [Point(1, PLAIN_SECRET), Login(), Slotted(), Struct(), Model()]),
    ("exception", lambda: ValueError(f"password={SECRET}")),
    ("exceptions", lambda: ExceptionGroup("g", [ValueError(SECRET), KeyError(SECRET)])),
    ("raises", lambda: Raises()),
    ("bad str", lambda: BadStr()),
    ("not str", lambda: NotStr()),
    ("huge str", lambda: Huge()),
    ("talks", lambda: Talks()),
    ("proxy", lambda: Proxy()),
    ("query", lambda: Query()),
    ("orm", lambda: Orm()),
    ("bad class", lambda: OfBadMeta()),
    ("lying class", lambda: {"a": OfLyingMeta(), "b": [OfLyingMeta(), OfLyingMeta]}),
    ("lying class alone", lambda: OfLyingMeta()),
    ("unhashable class", lambda: [OfUnhashableMeta(), OfUnhashableMeta]),
    ("lying name", lambda: {LyingStr("password"): PLAIN_SECRET}),
    ("class", lambda: [int, Login, OfBadMeta, Nameless]),
    ("nameless", lambda: [Nameless(), NamelessError()]),
    ("nameless alone", lambda: Nameless()),
    ("str subclass", lambda: StrSub("abc")),
    ("subclasses", lambda: [IntSub(5), FloatSub(1.5), DictSub(a=1), ListSub([1])]),
    ("bad mapping", lambda: BadMapping()),
    ("endless", lambda: Endless()),
    ("proxy mapping", lambda: types.MappingProxyType({"a": 1})),
    ("chain", lambda: collections.ChainMap({"a": 1}, {"b": PLAIN_SECRET[:0]})),
    ("counter", lambda: collections.Counter("hello")),
    ("ordered", lambda: collections.OrderedDict(a=1)),
    ("default", lambda: collections.defaultdict(list, a=[1])),
    ("deque", lambda: collections.deque(range(1000), maxlen=500)),
    ("views", lambda: [{"a": 1}.keys(), {"a": 1}.values(), {"a": 1}.items()]),
    ("set", lambda: {3, "1", b"2", None, (1, 2), frozenset((1,))}),
    ("range", lambda: range(10**9)),
    ("generator", lambda: (1 for _ in range(3))),
    ("coroutine", lambda: coroutine()),
    ("file", lambda: io.StringIO(SECRET)),
    ("lock", lambda: threading.Lock()),
    ("module", lambda: types),
    ("functions", lambda: [len, lambda: None, "".join, Login.__init__]),
    (
        "keys",
        lambda: {1: 1, "1": 2, None: 3, False: 4, (1, "a"): 5, 1.5: 6, b"x": 7, Colour.RED: 8},
    ),
    ("nan keys", lambda: {float("nan"): 1, float("nan"): 2}),
    ("reserved", lambda: {"ts": 1, "seq": 2, "_cut": 3, "_lossy": 4, "hash": 5}),
    ("long text", lambda: "x" * 1_000_000),
    ("long list", lambda: list(range(100_000))),
    ("long dict", lambda: {str(n): n for n in range(100_000)}),
    ("long keys", lambda: {"k" * 5000 + str(n): n for n in range(50)}),
    ("escapes", lambda: {"\n" * 300: "\n" * 10_000}),
    ("bad secret", lambda: BadSecret()),
    ("secret", lambda: Secret(PLAIN_SECRET)),
    ("secret model", lambda: {"x": pydantic.SecretStr(PLAIN_SECRET)}),
    ("named", lambda: {"user_password": PLAIN_SECRET, "a": {"dbPass": PLAIN_SECRET}}),
    ("named int", lambda: {"pin": 73_911_842, "cvv": b"73911842", "otp": [73_911_842]}),
    (
        "pairs",
        lambda: [("password", PLAIN_SECRET), [b"authorization", PLAIN_SECRET.encode()]],
    ),
    ("name and value", lambda: {"name": "password", "value": PLAIN_SECRET}),
    ("argv", lambda: ["mysql", "--password", PLAIN_SECRET, "-h", "db"]),
    ("json text", lambda: '{"a":[{"password":"' + PLAIN_SECRET + '"}]}'),
    ("json pairs", lambda: '[["x-api-key","' + PLAIN_SECRET + '"]]'),
    ("json in json", lambda: '{"a":"{\\"token\\":\\"' + PLAIN_SECRET + '\\"}"}'),
    ("key of a dict", lambda: {SECRET: 1, "a " + SECRET: {SECRET: 2}}),
    ("enum value", lambda: {"x": Leaky.TOKEN, Leaky.TOKEN: 1}),
    ("private key", lambda: pem()),
    ("cut private key", lambda: pem()[:60]),
    ("bytes of a secret", lambda: [SECRET.encode(), SECRET.encode("utf-16-le")]),
    ("across the cut", lambda: "x" * 8180 + " " + SECRET + "y" * 9000),
    ("url", lambda: "postgres://app:" + PLAIN_SECRET.replace(" ", "/") + "@db/x"),
    ("path", lambda: pathlib.Path("/tmp") / SECRET),
    ("cut path", lambda: {SECRET: list(range(1000))}),
]
"""What ``fields``, or a value in them, may be."""
