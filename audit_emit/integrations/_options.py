"""The options of the request adapters, checked once when the application starts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any, Literal, TypedDict, get_args

from audit_emit._facade.adapters import bare_name, let_through
from audit_emit.errors import ConfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
ClientIp = Literal["full", "truncated", "off"]
SkipPaths = Sequence[str | re.Pattern[str]] | Callable[[str], bool]

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")


class RequestOptions(TypedDict, total=False):
    """The keyword arguments of an adapter; ``Options`` documents each of them."""

    requests: bool
    skip_paths: SkipPaths
    request_id_headers: Sequence[str]
    response_header: str | None
    trust_request_id: bool
    trusted_proxies: Sequence[str]
    client_ip: ClientIp
    user_agent: bool
    receipts: bool


@dataclass(frozen=True, slots=True)
class Options:
    """The options of an adapter, after validation.

    Attributes:
        requests: whether to write one record per request.
        skip_paths: paths for which no request record is written: an exact path, a prefix (an entry
            that ends with ``*``), a compiled regular expression that matches the whole path, or,
            instead of a list, a function of the path. Ids are bound there all the same.
        request_id_headers: the headers that may carry the client's request id; the first valid id
            is used.
        response_header: the response header that carries the request's id; ``None`` for none.
        trust_request_id: whether to use a well-formed id from any client.
        trusted_proxies: networks (CIDR) whose request ids and ``X-Forwarded-For`` are trusted.
        client_ip: ``full``, ``truncated`` (to /24 for IPv4, /48 for IPv6) or ``off``.
        user_agent: whether to record the user agent, up to 256 characters.
        receipts: whether the answer carries ``Audit-Receipt``, the place of the newest record of
            the request (``<chain>:<seq>:<hash>``), when one is in the chain of a file by then.
    """

    requests: bool = True
    skip_paths: tuple[str | re.Pattern[str], ...] | Callable[[str], bool] = ()
    request_id_headers: tuple[str, ...] = ("x-request-id",)
    response_header: str | None = "X-Request-ID"
    trust_request_id: bool = False
    trusted_proxies: tuple[Network, ...] = ()
    client_ip: ClientIp = "truncated"
    user_agent: bool = False
    receipts: bool = False

    @classmethod
    def make(cls, raw: Mapping[str, Any]) -> Options:
        """Validate keyword arguments.

        Raises:
            ConfigError: an option is unknown, or has a value that cannot be used.
        """
        unknown = sorted(raw.keys() - _CHECKS.keys())
        if unknown:
            known = ", ".join(_CHECKS)
            raise ConfigError(
                unknown[0], f"is not an option of the request middleware; these are: {known}"
            )
        return cls(**{name: _CHECKS[name](name, value) for name, value in raw.items()})

    def skips(self, path: str) -> bool:
        """Whether no request record is written for a path. A function that fails skips nothing."""
        if callable(self.skip_paths):
            try:
                return bool(self.skip_paths(path))
            except Exception as error:  # noqa: BLE001 - the application's; rather a record too many
                let_through(error)
                return False
        return any(_matches(entry, path) for entry in self.skip_paths)

    def trusts(self, peer: Address | None) -> bool:
        """Whether an address belongs to a trusted proxy."""
        return peer is not None and any(peer in network for network in self.trusted_proxies)


def _flag(name: str, value: Any) -> bool:
    if value not in (True, False):  # 0 and 1 too, as environment loaders make them
        raise ConfigError(name, f"must be true or false, not {bare_name(type(value))}")
    return bool(value)


def _strings(name: str, value: Any) -> tuple[str, ...]:
    items = (value,) if isinstance(value, str) else value
    if not isinstance(items, list | tuple | set | frozenset) or not all(
        isinstance(item, str) and item for item in items
    ):
        raise ConfigError(name, "must be a list of non-empty strings")
    return tuple(items)


def _matches(entry: str | re.Pattern[str], path: str) -> bool:
    if isinstance(entry, re.Pattern):
        return entry.fullmatch(path) is not None
    return path.startswith(entry[:-1]) if entry.endswith("*") else path == entry


def _paths(name: str, value: Any) -> tuple[str | re.Pattern[str], ...] | Callable[[str], bool]:
    if callable(value):
        checked: Callable[[str], bool] = value
        return checked
    items = (value,) if isinstance(value, str | re.Pattern) else value
    if not isinstance(items, list | tuple | set | frozenset):
        return _strings(name, value)
    patterns = [
        one for one in items if isinstance(one, re.Pattern) and isinstance(one.pattern, str)
    ]
    return (*_strings(name, [one for one in items if one not in patterns]), *patterns)


def _headers(name: str, value: Any) -> tuple[str, ...]:
    return tuple(_header(name, item).lower() for item in _strings(name, value))


def _header(name: str, value: Any) -> str:
    if not isinstance(value, str) or not HEADER_NAME.fullmatch(value):
        raise ConfigError(name, "must be the name of an HTTP header")
    return value


def _response_header(name: str, value: Any) -> str | None:
    return None if value is None or value == "" else _header(name, value)


def _networks(name: str, value: Any) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(item) for item in _strings(name, value))
    except ValueError as error:
        raise ConfigError(name, f"must be a list of networks such as 10.0.0.0/8: {error}") from None


def _client_ip(name: str, value: Any) -> ClientIp:
    if value not in get_args(ClientIp):
        raise ConfigError(name, "must be full, truncated or off")
    checked: ClientIp = value
    return checked


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "requests": _flag,
    "skip_paths": _paths,
    "request_id_headers": _headers,
    "response_header": _response_header,
    "trust_request_id": _flag,
    "trusted_proxies": _networks,
    "client_ip": _client_ip,
    "user_agent": _flag,
    "receipts": _flag,
}
