"""Variables of Terraform with a default, and manifests of Kubernetes that hold secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from audit_emit._redaction.finders.extent import HELD, Span
from audit_emit._runtime.lazy import Pattern

__all__ = ["manifests", "variables"]

_VARIABLE = Pattern(r"\bvariable\s{1,4}\"([\w\-]{1,128})\"\s{0,4}\{(?=[^{}]{0,2048})")
_DEFAULT = Pattern(r"\bdefault\s{0,16}=\s{0,8}\"([^\"\n]{1,1024})\"")
_SENSITIVE = Pattern(r"\bsensitive\s{0,16}=\s{0,8}true\b")
_MAX_BLOCK = 2048


def variables(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """``variable "db_password" { default = "x" }``; also what is marked as sensitive."""
    for match in _VARIABLE.finditer(text):
        most = min(len(text), match.end() + _MAX_BLOCK)
        following = text.find("variable", match.end(), most)
        most = following if following >= 0 else most
        end = text.find("}", match.end(), most)
        end = end if end >= 0 else most
        if is_secret(match.group(1)) or _SENSITIVE.search(text, match.end(), end):
            for found in _DEFAULT.finditer(text, match.end(), end):
                yield from _unless_held(text, *found.span(1))


_KIND = Pattern(r"(?:\A|\n)kind:[ \t]{0,8}[\"']?Secret[\"']?[ \t]{0,8}(?=\r?\n|\Z)")
_DATA = Pattern(r"(?:\A|\n)(?:data|stringData):[ \t]{0,8}\r?\n")
_ENTRY = Pattern(r"[ \t]{1,16}[\w.\-\"']{1,256}:[ \t]{0,8}(\S[^\r\n]{0,8192})")
_DOCUMENT = Pattern(r"\n---|\Z")


def manifests(text: str) -> Iterator[Span]:
    """``kind: Secret``: each value of ``data`` and ``stringData``."""
    done = 0
    for kind in _KIND.finditer(text):
        if kind.start() < done:
            continue
        start = text.rfind("\n---", 0, kind.start()) + 1
        done = _DOCUMENT.search(text, kind.end()).start()  # type: ignore[union-attr]
        for data in _DATA.finditer(text, start, done):
            at = data.end()
            while (entry := _ENTRY.match(text, at, done)) is not None:
                if entry.group(1)[0] not in "|>":
                    yield from _unless_held(text, *entry.span(1))
                at = text.find("\n", entry.end(), done) + 1 or done
                while text.startswith("    ", at) and entry.group(1)[0] in "|>":
                    line_end = text.find("\n", at, done)
                    line_end = line_end if line_end >= 0 else done
                    yield from _unless_held(text, at, line_end)
                    at = min(line_end + 1, done)


def _unless_held(text: str, start: int, end: int) -> Iterator[Span]:
    if end > start and not HELD.fullmatch(text[start:end].strip()):
        yield start, end
