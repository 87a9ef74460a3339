"""Tokens of vendors, told by their prefix, and the URLs of web hooks; all patterns are linear.

Most tokens must hold a run of thirteen letters and digits somewhere: that is looked for once in a
text, and only then the many prefixes are.
"""

from __future__ import annotations

from collections.abc import Iterator

from audit_emit._fields.extent import Span
from audit_emit._lazy import Pattern

__all__ = ["hooks", "shaped", "suspicious", "suspicious_dot", "suspicious_mark", "tokens"]

_LONG = r"[A-Za-z0-9]"
_WORD = r"[A-Za-z0-9_\-]"
_RUN_WITHIN = rf"(?={_WORD}{{0,64}}?{_LONG}{{13}}){_WORD}*"
_WITH_RUN = (
    (("AKIA", "ASIA", "ABIA", "ACCA"), r"A[A-Z]{3}[A-Z0-9]{13,}"),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), rf"gh._{_LONG}{{13,}}"),
    (("github_pat_",), rf"github_pat_{_LONG}{{13,}}[A-Za-z0-9_]*"),
    (("k_live_", "k_test_"), rf"k_...._{_LONG}{{13,}}"),
    (("npm_", "hf_", "lin_api_", "glsa_"), rf"[a-z_]{{1,8}}_{_LONG}{{13,}}"),
    (("dop_v1_", "shpat_", "shpss_", "shpca_", "whsec_"), rf"[a-z0-9_]{{1,8}}?_{_LONG}{{13,}}"),
    (("LTAI",), rf"LTAI{_LONG}{{13,}}"),
    (("AGE-SECRET-KEY-",), r"AGE-SECRET-KEY-1[0-9A-Z]{13,}"),
    (("dckr_pat_", "ATATT3", "ATCTT3", "EAACEdEose0cBA"), _RUN_WITHIN),
    (("sq0atp-", "sq0csp-", "gloas-", "HRKU-"), _RUN_WITHIN),
    (("gsk_", "ntn_", "r8_"), rf"(?<![A-Za-z0-9])[a-z0-9]{{1,4}}_{_LONG}{{30,}}"),
    (("xai-", "pplx-", "sess-"), rf"(?<![A-Za-z0-9])[a-z]{{1,4}}-{_LONG}{{36,}}"),
    (("dapi",), r"(?<![A-Za-z0-9])dapi[0-9a-f]{32}(?:-[0-9])?"),
    (("SK",), r"(?<![A-Za-z0-9])SK[0-9a-f]{32}(?![A-Za-z0-9])"),
    (
        ("sntrys_", "sntryu_", "glc_", "ops_eyJ"),
        rf"[a-z]{{1,8}}_{_LONG}{{13,}}[A-Za-z0-9+/=_\-]*",
    ),
    (("secret_",), rf"(?<![A-Za-z0-9_])secret_{_LONG}{{36,}}"),
    (("eyJrIjoi", "EAAG"), rf"(?<![A-Za-z0-9+/])(?:eyJrIjoi|EAAG){_LONG}{{40,}}"),
    (("CCIPAT_",), rf"CCIPAT_{_LONG}{{22}}_[0-9a-f]{{32,}}"),
    (("sbp_", "shppa_", "doo_v1_", "dor_v1_", "rubygems_"), r"[a-z0-9_]{1,8}_[0-9a-f]{32,}"),
    (("lsv2_pt_", "lsv2_sk_", "sk_"), r"(?<![A-Za-z0-9])[a-z0-9_]{1,8}_[0-9a-f]{32,}[0-9a-f_]*"),
    (("pul-",), r"(?<![A-Za-z0-9])pul-[0-9a-f]{40}"),
    (("NRAK-",), r"NRAK-[A-Z0-9]{27}"),
    (("PMAK-",), r"PMAK-[0-9a-f]{24}-[0-9a-f]{30,34}"),
    (("xkeysib-",), rf"xkeysib-[0-9a-f]{{64}}-{_LONG}{{16}}"),
    (("dt0c01.", "dt0s01.", "dt0s16."), r"dt0[cs][0-9]{2}\.[A-Z0-9]{24}\.[A-Z0-9]{60,}"),
    (("dp.pt.", "dp.st.", "dp.ct.", "dp.sa."), rf"dp\...\.(?:[\w\-]{{2,35}}\.)?{_LONG}{{36,}}"),
    (("ABSK",), rf"ABSK(?={_LONG}{{13}})[A-Za-z0-9+/=]{{60,}}"),
    (("IQoJb3JpZ2luX2",), r"IQoJb3JpZ2luX2[A-Za-z0-9+/=_\-]{40,}"),
    (("nfp_", "ATBB", "AKCp", "xprv"), rf"(?<![A-Za-z0-9])[A-Za-z]{{3,4}}_?{_LONG}{{28,}}"),
)
_WITH_DOT = (
    (("ya29.",), rf"ya29\.{_WORD}{{20,}}"),
    (("eyJ",), r"eyJ[A-Za-z0-9_\-=]{6,}\.[A-Za-z0-9_\-.=]*"),
    (("SG.",), rf"SG\.{_WORD}{{16,}}(?:\.{_WORD}*)?"),
    (("hvs.", "hvb.", "hvr."), rf"hv.\.{_WORD}{{20,}}"),
)
_WITH_DASH = (
    (("glpat-", "gldt-", "glrt-"), rf"gl[a-z]+-{_WORD}{{12,}}(?:\.{_WORD}*)?"),
    (
        ("glptt-", "glcbt-", "glsoat-", "glft-", "glagent-", "glimt-", "glffct-"),
        rf"gl[a-z]+-{_WORD}{{20,}}(?:\.{_WORD}*)?",
    ),
    (("nvapi-",), rf"nvapi-{_WORD}{{40,}}"),
    (("bedrock-api-key-",), r"bedrock-api-key-[A-Za-z0-9+/=]{30,}"),
    (("tskey-",), rf"tskey-{_WORD}{{16,}}"),
    (("xox",), rf"xox[a-z]-{_WORD}{{8,}}"),
    (("xapp-",), rf"xapp-{_WORD}{{12,}}"),
    (("pypi-",), rf"pypi-AgE{_WORD}{{12,}}"),
    (("sk-",), rf"sk-{_WORD}{{16,}}"),
    (("key-",), r"key-[0-9a-f]{32}"),
    (("GOCSPX-",), rf"GOCSPX-{_WORD}{{16,}}"),
)
_WITH_MARK = (
    (("AIza",), rf"AIza{_WORD}{{24,}}"),
    (("1//0",), rf"(?<![A-Za-z0-9/])1//0{_WORD}{{40,}}"),
    (("figd_",), rf"figd_{_WORD}{{36,}}"),
    (("pscale_",), r"pscale_(?:tkn|pw|oauth)_[\w.=\-]{30,}"),
    (("sb_secret_",), rf"sb_secret_{_WORD}{{24,}}"),
    (("dckr_oat_",), rf"dckr_oat_{_WORD}{{24,}}"),
)
MARKS = ("AIza", "1//0", "figd_", "pscale_", "sb_secre", "dckr_oat", "Q~")
"""What tokens have in them that need neither a dot nor a dash nor a long run; 8 bytes at most."""

DOT_MARKS = ("eyJ", "SG.", "ya29.", "hv")
"""What every token with a dot has in it, and few other texts with one."""

DASH_MARKS = ("xox",)
"""The same of the tokens with a dash whose prefix does not end in one of a few letters."""

_TOKENS = [
    (prefix, Pattern(pattern))
    for prefixes, pattern in (*_WITH_RUN, *_WITH_DOT, *_WITH_DASH, *_WITH_MARK)
    for prefix in prefixes
]
_RUN_PREFIXES = [prefix for prefixes, _ in _WITH_RUN for prefix in prefixes]
_DASH_PREFIXES = [prefix for prefixes, _ in _WITH_DASH for prefix in prefixes]


def suspicious(text: str, has_run: bool) -> bool:
    """Whether ``tokens`` and ``hooks`` have to look: False only when they would find nothing.

    Args:
        text: any text, or the JSON of several.
        has_run: whether thirteen letters and digits stand together in it.
    """
    return (
        (has_run and any(prefix in text for prefix in _RUN_PREFIXES))
        or ("." in text and suspicious_dot(text))
        or ("-" in text and any(prefix in text for prefix in _DASH_PREFIXES))
        or suspicious_mark(text)
        or (has_run and any(mark in text and one.search(text) for mark, one in _SHAPED))
        or ":AA" in text
        or ("/" in text and ("hooks.slack.com/" in text or "/api/webhooks/" in text))
    )


def suspicious_dot(text: str) -> bool:
    """``suspicious`` for a text with a dot: whether a token with one may be in it."""
    return any(mark in text for mark in DOT_MARKS)


def suspicious_mark(text: str) -> bool:
    """``suspicious`` for any text: whether one of ``MARKS`` is in it."""
    return (
        ("~" in text and "Q~" in text)
        or ("z" in text and "AIza" in text)
        or "1//0" in text
        or "figd_" in text
        or "pscale_" in text
        or "sb_secre" in text
        or "dckr_oat" in text
    )


def tokens(text: str) -> Iterator[Span]:
    """Where tokens are: found by prefix, then matched at that place only."""
    for prefix, pattern in _TOKENS:
        at = text.find(prefix)
        while at >= 0:
            match = pattern.match(text, at)
            if match is not None:
                yield _with_letter_before(text, at), match.end()
                at = text.find(prefix, match.end())
            elif prefix == "eyJ":
                # Without a dot the run is no token, and neither is a later part of it.
                at = text.find(prefix, _run_end(text, at))
            else:
                at = text.find(prefix, at + 1)


# Each with a mark to look for first; the bots of Discord have none but their dots.
_SHAPED = (
    (".atlasv1.", Pattern(rf"(?<![\w.\-]){_LONG}{{14}}\.atlasv1\.{_WORD}{{50,}}")),
    ("pat", Pattern(rf"(?<![\w.\-])pat{_LONG}{{14}}\.[0-9a-f]{{64}}")),
    ("-us", Pattern(r"(?<![\w\-])[0-9a-f]{32}-us[0-9]{1,2}(?![\w\-])")),
    ("Q~", Pattern(r"(?<![\w~.\-])[\w~.\-]{3}[0-9]Q~[\w~.\-]{31,34}(?![\w~\-])")),
    (".", Pattern(rf"[MNO](?<![\w.\-].){_LONG}{{22,27}}\.{_WORD}{{6}}\.{_WORD}{{27,}}")),
)


def shaped(text: str) -> Iterator[Span]:
    """Tokens of HashiCorp, Airtable, Mailchimp, Azure, Discord: told by the length of each part."""
    for mark, pattern in _SHAPED:
        if mark in text:
            for match in pattern.finditer(text):
                yield match.span()


_NOT_RUN = Pattern(r"[^A-Za-z0-9_\-=]")


def _run_end(text: str, at: int) -> int:
    match = _NOT_RUN.search(text, at)
    return match.start() if match is not None else len(text)


def _with_letter_before(text: str, at: int) -> int:
    return at - 1 if text.startswith("k_", at) and at and text[at - 1].isalnum() else at


_HOOK = Pattern(
    # The last part of the path, or the fifth.
    r"hooks\.slack\.com/(?:(?:[\w\-]{1,32}/){4}|(?:[\w\-]{1,32}/){1,3}(?![\w\-]{1,32}/))"
    r"([A-Za-z0-9]{13,})"
    r"|/api/webhooks/[0-9]{13,24}/([\w\-]+)"
    r"|(?<=[0-9]{6}):(AA[\w\-]{30,})"
)


def hooks(text: str) -> Iterator[Span]:
    """What lets anybody post to a channel: the end of a web hook's URL, a bot's token."""
    if ":AA" in text or "hooks.slack.com/" in text or "/api/webhooks/" in text:
        for match in _HOOK.finditer(text):
            yield match.span(match.lastindex or 0)
