"""Variables of Terraform with a default, and manifests of Kubernetes that hold secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._redaction.finders.extent import PLACEHOLDER, Span
from audit_emit._runtime.lazy import Pattern

__all__ = ["manifests", "variables"]

_VARIABLE = Pattern(
    r"\b(?:variable|output|resource|data|secret|param|parameter|local|set_sensitive|ephemeral)"
    r"(?:\s{1,4}\"?([\w\-]{1,128})\"?)?(?:\s{1,4}\"([\w\-]{1,128})\")?\s{0,4}\{"
)
_DEFAULT = Pattern(
    r"\b(?:default|value|result|plaintext|secret_string|content|bcrypt_hash)\s{0,16}=\s{0,8}"
    r"(?:\"([^\"\n]{1,1024})\"|\[([^\]\n]{1,1024})\])"
)
_SENSITIVE = Pattern(r"\bsensitive\s{0,16}=\s{0,8}true\b")
_BLOCKS = ("variable", "output", "resource", "data", "secret", "param", "local", "set_sensitive")
_MAX_BLOCK = 2048


def variables(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """``variable "db_password" { default = "x" }``; also what is marked as sensitive."""
    for match in _VARIABLE.finditer(text):
        most = min(len(text), match.end() + _MAX_BLOCK)
        following = _VARIABLE.search(text, match.end(), most)
        most = following.start() if following is not None else most
        end = text.find("}", match.end(), most)
        end = end if end >= 0 else most
        if (
            match.group().startswith("set_sensitive")
            or any(name and is_secret(name) for name in match.groups())
            or _SENSITIVE.search(text, match.end(), end)
        ):
            for found in _DEFAULT.finditer(text, match.end(), end):
                yield from _unless_held(text, *found.span(found.lastindex or 0))


_KIND = Pattern(
    r"(?:\A|\n|:[ ](?=kind))([ \t]{0,32}(?:-[ \t]{1,4})?)kind:[ \t]{0,8}"
    r"[\"']?Secret[\"']?[ \t]{0,8}(?=\r?\n|\Z)"
)
_DATA = Pattern(
    r"(?:\A|\n)([ \t]{0,32}(?:-[ \t]{1,4})?)(?:data|stringData):[ \t]{0,8}(?:\r?\n|(?=\{))"
)
_ENTRY = Pattern(r"([ \t]{1,48})[\w.\-\"']{1,256}:[ \t]{0,8}(\S[^\r\n]{0,8192})")
_MAX_MANIFESTS = 32
"""Secrets in one text: more are held back as one, with all that follows."""
_DOCUMENT = Pattern(r"\n---|\Z")
_FLOW = Pattern(
    r"kind:[ \t]{0,4}Secret,[ \t]{0,4}(?:[^{}\n]{0,512},[ \t]{0,4})?"
    r"(?:data|stringData):[ \t]{0,4}\{([^{}\n]{1,4096})"
)


def manifests(text: str) -> Iterator[Span]:
    """``kind: Secret``: each value of ``data`` and ``stringData``."""
    for flow in _FLOW.finditer(text):
        yield from _unless_held(text, *flow.span(1))
    done = 0
    for count, kind in enumerate(_KIND.finditer(text)):
        if count == _MAX_MANIFESTS:
            yield kind.start(), len(text)
            return
        if kind.start() < done:
            continue
        start, done = _object(text, kind)
        for data in _DATA.finditer(text, start, done):
            if len(data.group(1)) == len(kind.group(1)):
                yield from _entries(text, data.end(), done, len(data.group(1)))


def _object(text: str, kind: re.Match[str]) -> Span:
    """From where to where the object reaches that has a kind: a document, an entry of a list."""
    start = text.rfind("\n---", 0, kind.start()) + 1
    end = _DOCUMENT.search(text, kind.end()).start()  # type: ignore[union-attr]
    indent = len(kind.group(1))
    if indent:
        item = re.compile(rf"(?:\A|\n)[ \t]{{0,{max(0, indent - 2)}}}-[ \t]")
        following = item.search(text, kind.end(), end)
        end = following.start() if following is not None else end
        for before in item.finditer(text, start, kind.start() + 1):
            start = before.start()
    return start, end


def _entries(text: str, at: int, end: int, indent: int) -> Iterator[Span]:
    """The values of a map of YAML that is more indented than its name."""
    if text.startswith("{", at):
        close = text.find("}", at, end)
        yield from _unless_held(text, at + 1, close if close >= 0 else end)
        return
    while (entry := _ENTRY.match(text, at, end)) is not None and len(entry.group(1)) >= indent:
        if entry.group(2)[0] not in "|>":
            yield from _unless_held(text, *entry.span(2))
        at = text.find("\n", entry.end(), end) + 1 or end
        deeper = entry.group(1) + " "
        while text.startswith(deeper, at) and entry.group(2)[0] in "|>":
            line_end = text.find("\n", at, end)
            line_end = line_end if line_end >= 0 else end
            yield from _unless_held(text, at, line_end)
            at = min(line_end + 1, end)


def _unless_held(text: str, start: int, end: int) -> Iterator[Span]:
    if end > start and not PLACEHOLDER.fullmatch(text[start:end].strip()):
        yield start, end
