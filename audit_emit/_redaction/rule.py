"""One rule of redaction: what a secret looks like, and the literal texts that tell of it.

From the keywords of all rules ``keywords.Prefilter`` is made, which says of most texts that no rule
needs to look. So a rule states in its keywords a *necessary* condition: where none of them occurs,
it finds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import sha256

from audit_emit._redaction import linear

__all__ = ["LONG_RUN", "RUN", "RUN_CHARACTERS", "Rule", "Span", "token"]

Span = tuple[int, int]
"""Where a part of a text starts and ends."""

Examples = Callable[[], tuple[str, ...]]

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_KEYWORD = re.compile(r"[!#-\[\]-~]{2,64}")
_MAX_KEYWORDS = 64

RUN = 20
"""Letters, digits, ``_``, ``-``, ``.`` and ``=`` in a row that make a long run."""

RUN_CHARACTERS = "".join(chr(code) for code in range(128) if chr(code).isalnum()) + "_-.="
LONG_RUN = re.compile(rf"[{re.escape(RUN_CHARACTERS)}]{{{RUN}}}")

BEFORE = "(?<![A-Za-z0-9]{0})"
"""No letter or digit is before a prefix. What ends an escape (``\\n``, ``%3D``) is none, as texts
are also looked at without their escapes (``readings``)."""


class Rule:
    """How one kind of secret is recognised in a text.

    Args:
        id: a name of its own, ``a-z0-9-``; reports and ``audit-emit redact`` show it.
        keywords: literal texts, one of which is in every secret of this kind: 2 to 64 printable
            ASCII characters, without a space, ``"`` and a backslash.
        find: a regular expression. Its first group is the secret, or all of it where it has none.
            It must take linear time: a repetition is of single characters, and all but the last
            are bounded (``linear.check`` says how). Rules of the library may be functions that
            give the spans of a text.
        examples: texts that are held back whole or in part. They are tried when the rule is made.
        non_examples: texts that stay as they are.
        word_start: the keywords count only where no letter or digit is before them.
        long_run: every secret of this kind has ``RUN`` letters, digits, ``_``, ``-``, ``.`` or
            ``=`` in a row, so that a short keyword in an ordinary text does not make it suspicious.

    Raises:
        ValueError: one of them is not as it must be; the message says which and how.
    """

    __slots__ = (
        "_compiled",
        "_examples",
        "find",
        "id",
        "keywords",
        "long_run",
        "non_examples",
        "word_start",
    )

    def __init__(
        self,
        id: str,  # noqa: A002 - what it is
        keywords: Iterable[str],
        find: str | Callable[[str], Iterable[Span]],
        examples: Iterable[str] | Examples = (),
        non_examples: Iterable[str] = (),
        *,
        word_start: bool = False,
        long_run: bool = False,
    ) -> None:
        if not isinstance(id, str) or not _ID.fullmatch(id):
            raise ValueError(f"a rule's id is 1 to 64 of a-z, 0-9 and '-', not {id!r}")
        self.id: str = id
        self.find: str | Callable[[str], Iterable[Span]] = find
        self.keywords: tuple[str, ...] = _texts(id, "keywords", keywords)
        self._examples = examples
        self.non_examples: tuple[str, ...] = _texts(id, "non_examples", non_examples)
        if type(word_start) is not bool or type(long_run) is not bool:
            raise ValueError(f"rule {id}: word_start and long_run are true or false")
        self.word_start: bool = word_start
        self.long_run: bool = long_run
        self._compiled: re.Pattern[str] | None = None
        if not callable(examples):
            _texts(id, "examples", examples)
        if not 1 <= len(self.keywords) <= _MAX_KEYWORDS:
            raise ValueError(f"rule {self.id}: 1 to {_MAX_KEYWORDS} keywords are needed")
        for keyword in self.keywords:
            if not _KEYWORD.fullmatch(keyword):
                raise ValueError(
                    f"rule {self.id}: a keyword is 2 to 64 printable ASCII characters without a "
                    f"space, '\"' and a backslash, not {keyword!r}"
                )

    @property
    def examples(self) -> tuple[str, ...]:
        """Texts that are held back whole or in part; those of tokens are made when asked for."""
        given = self._examples() if callable(self._examples) else self._examples
        return _texts(self.id, "examples", given)

    def spans(self, text: str) -> Iterator[Span]:
        """Where secrets of this kind are in a text that holds one of the keywords."""
        if callable(self.find):
            yield from self.find(text)
            return
        for match in self._pattern().finditer(text):
            start, end = match.span(1 if match.re.groups else 0)
            if start < end:
                yield start, end

    def check(self) -> None:
        """Compile the rule and try it with its examples.

        Raises:
            ValueError: the pattern is none, can take more than linear time, misses an example, has
                one that is not as ``word_start`` and ``long_run`` say, or finds something in a
                non-example.
        """
        if isinstance(self.find, str):
            try:
                pattern = self._pattern()
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"rule {self.id}: the pattern is none: {error}") from None
            linear.check(self.id, self.find)
            if pattern.fullmatch(""):
                raise ValueError(f"rule {self.id}: the pattern finds the empty text")
        for example in self.examples:
            if not any(keyword in example for keyword in self.keywords):
                raise ValueError(f"rule {self.id}: no keyword is in an example")
            if not any(self.spans(example)):
                raise ValueError(f"rule {self.id}: an example is not found")
            if not self._counts(example):
                raise ValueError(
                    f"rule {self.id}: an example has no keyword at the start of a word, or no "
                    f"{RUN} letters, digits, '_', '-', '.' or '=' in a row, as word_start or "
                    "long_run says"
                )
        for example in self.non_examples:
            if any(word in example for word in self.keywords) and any(self.spans(example)):
                raise ValueError(f"rule {self.id}: something is found in a non-example")

    def _counts(self, example: str) -> bool:
        """Whether an example is what ``word_start`` and ``long_run`` say of every secret."""
        if self.long_run and LONG_RUN.search(example) is None:
            return False
        words = "|".join(map(re.escape, self.keywords))
        return not self.word_start or bool(re.search(f"{BEFORE.format('')}(?:{words})", example))

    def _pattern(self) -> re.Pattern[str]:
        if self._compiled is None:
            self._compiled = re.compile(str(self.find))
        return self._compiled


def _texts(rule_id: str, name: str, given: Iterable[str]) -> tuple[str, ...]:
    texts = () if isinstance(given, str) else tuple(given)
    if isinstance(given, str) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"rule {rule_id}: {name} is a list of texts")
    return texts


ALPHABETS = {
    "alnum": r"A-Za-z0-9",
    "word": r"A-Za-z0-9_\-",
    "lower": r"a-z0-9",
    "upper": r"A-Z0-9",
    "hex": r"0-9a-f",
    "HEX": r"0-9A-Fa-f",
    "dotted": r"A-Za-z0-9_\-.",
    "padded": r"A-Za-z0-9_\-.=",
    "undotted": r"A-Za-z0-9_\-=",
    "base64": r"A-Za-z0-9+/=",
    "base64url": r"A-Za-z0-9+/=_\-",
    "path": r"A-Za-z0-9_\-/",
    "token": r"A-Za-z0-9_\-.=~%+/",
}
"""The alphabets that tokens are written in, as character classes."""


def token(
    name: str,
    prefixes: str,
    alphabet: str,
    length: int,
    *,
    least: int = 0,
    rest: str = "",
    example_rest: str = "",
    anywhere: bool = False,
    exact: bool = False,
    mixed: bool = False,
    random: bool = False,
    long_run: bool = False,
    non_examples: tuple[str, ...] = (),
) -> Iterator[Rule]:
    """The rules of a vendor's token: a prefix, then characters of one alphabet.

    Args:
        name: the id, with a number behind it where there are several prefixes.
        prefixes: separated by spaces; each is a rule of its own.
        alphabet: a key of ``ALPHABETS``.
        length: how many characters of it a whole token has.
        least: how many are enough, so that a token that was cut is held back, too; by default half
            of ``length``.
        mixed: a digit or a capital is among the first 40 characters, as against words of prose.
        random: a digit, a capital and a small letter are, as against names of several words.
        rest: a pattern that follows the characters; ``example_rest`` is a text that fits it.
        anywhere: the prefix is so particular that it counts within a word, too.
        exact: no more characters of the alphabet follow, and no fewer are enough.
        long_run: as in ``Rule``.
        non_examples: as in ``Rule``.
    """
    characters = f"[{ALPHABETS[alphabet]}]"
    classes = ("0-9", "A-Z", "a-z") if random else ("0-9A-Z",) if mixed else ()
    look = "".join(f"(?={characters}{{0,39}}[{one}])" for one in classes)
    several = prefixes.split()
    for at, prefix in enumerate(several):
        literal = re.escape(prefix)
        times = f"{{{length}}}(?!{characters})" if exact else f"{{{least or (length + 1) // 2},}}"
        start = "" if anywhere or not prefix[0].isalnum() else BEFORE.format(literal)
        yield Rule(
            id=f"{name}-{at + 1}" if len(several) > 1 else name,
            keywords=(prefix,),
            find=f"{literal}{start}{look}{characters}{times}{rest}",
            examples=_example(prefix, name, alphabet, length, example_rest),
            non_examples=non_examples,
            word_start=not anywhere and prefix[0].isalnum(),
            long_run=long_run,
        )


def _example(prefix: str, seed: str, alphabet: str, length: int, rest: str) -> Examples:
    return lambda: (prefix + sample(seed, alphabet, length) + rest,)


def sample(seed: str, alphabet: str, length: int) -> str:
    """Characters of an alphabet that look drawn at random, the same for a seed each time."""
    characters = _drawn_from(alphabet)
    drawn = b"".join(sha256(f"{seed} {n}".encode()).digest() for n in range(length // 32 + 1))
    return "".join(characters[byte % len(characters)] for byte in drawn[:length])


@cache
def _drawn_from(alphabet: str) -> str:
    allowed = re.compile(f"[{ALPHABETS[alphabet]}]")
    characters = (char for char in map(chr, range(33, 127)) if allowed.match(char))
    return "".join(char for char in characters if char not in "=%.")
