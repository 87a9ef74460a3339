"""Command lines and configuration lines of particular programs: where they take a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from audit_emit._redaction.finders.extent import PLACEHOLDER, Span
from audit_emit._runtime.lazy import Pattern

__all__ = ["KEYWORDS", "commands", "commands_in"]

IsSecret = Callable[[str], bool]

_WORD = r"[\"']?([^\s\"'|;]{1,512})"
_ARGUMENTS = r"(?:[ \t]{1,4}-{1,2}[\w\-]{1,32}(?:=\S{1,128})?){0,6}[ \t]{1,4}"
_PATTERNS: tuple[tuple[tuple[str, ...], Pattern], ...] = (
    (
        ("vault login",),
        Pattern(rf"\bvault login{_ARGUMENTS}[\"']?(?![\-\"'])([^\s\"'|;=]{{1,512}})(?![^\s\"'|;])"),
    ),
    (
        ("proxy-user", "-U "),
        Pattern(rf"(?:--proxy-user|-U)(?:[ \t=]{{1,4}})[\"']?[^\s:\"']{{1,128}}:{_WORD}"),
    ),
    (
        ("operator unseal", "cargo login", "bw unlock", "ngrok authtoken", "encrypt_string"),
        Pattern(
            r"\b(?:vault operator unseal|cargo login(?:[ \t]--registry[ \t=]\S{1,128})?|bw unlock"
            rf"|ngrok authtoken|ansible-vault encrypt_string){_ARGUMENTS}{_WORD}"
        ),
    ),
    (
        ("add_user", "change_password", "bw login", "wpa_passphrase", "net user", "http-basic"),
        Pattern(
            r"\b(?:rabbitmqctl (?:add_user|change_password)|bw login|wpa_passphrase|net user"
            r"|(?:poetry|composer) config http-basic\.\S{1,64})"
            rf"[ \t]{{1,4}}\S{{1,256}}[ \t]{{1,4}}(?![/\-]){_WORD}"
        ),
    ),
    (
        (
            "keyvault secret set",
            "nuget push",
            "signtool",
            "unlock-keychain",
            "add-generic-password",
        ),
        Pattern(
            r"\b(?:az keyvault secret set[ \t][^\n|;]{0,256}?--value"
            r"|dotnet nuget push[ \t](?:[^\n|;]{0,256}?[ \t])?-k"
            r"|signtool[ \t][^\n|;]{0,256}?[ \t]/p"
            r"|security (?:unlock-keychain|add-\w{1,16}-password)[ \t](?:[^\n|;]{0,256}?[ \t])?"
            r"-[pw])"
            rf"[ \t=]{{1,4}}{_WORD}"
        ),
    ),
    (
        ("alias set", "config host add"),
        Pattern(
            rf"\bmc(?:li)? (?:alias set|config host add)"
            rf"(?:[ \t]{{1,4}}\S{{1,256}}){{3}}[ \t]{_WORD}"
        ),
    ),
    (("cloudflared service",), Pattern(rf"\bcloudflared service install[ \t]{{1,4}}{_WORD}")),
    (("chamber write",), Pattern(rf"\bchamber write[ \t]\S{{1,128}}[ \t]\S{{1,128}}[ \t]{_WORD}")),
    (
        ("config set --secret", "secrets set", "env:set", "travis encrypt"),
        Pattern(
            r"\b(?:pulumi config set --secret|(?:fly|doppler|infisical|wrangler) secrets set"
            rf"|travis encrypt)[ \t]{{1,4}}[\w.:\-]{{1,128}}[ \t=]{_WORD}"
        ),
    ),
    (
        ("gh secret", "secret put", "gem push"),
        Pattern(
            r"\b(?:gh secret set[ \t][^\n|;]{0,128}?(?:--body|-b)|gem push[^\n|;]{0,128}?--key)"
            rf"[ \t=]{{0,3}}{_WORD}|\bwrangler secret put[ \t]\S{{1,128}}[ \t]{_WORD}"
        ),
    ),
    (
        ("SecureString",),
        Pattern(
            rf"--value[ \t=]{{1,3}}{_WORD}(?=[^\n]{{0,512}}SecureString)"
            rf"|SecureString[^\n]{{0,512}}?--value[ \t=]{{1,3}}{_WORD}"
        ),
    ),
    (
        ("role_id",),
        Pattern(rf"\brole_id[=:][ \t]?\S{{1,128}}[ \t,;&]{{1,3}}secret_id[=:][ \t]?{_WORD}"),
    ),
    (("AUTH ",), Pattern(rf"(?:\A|[\n>\"'])[ \t]{{0,4}}AUTH(?:[ \t]default)?[ \t]{_WORD}")),
    (("smbclient", "rpcclient", "smbmap"), Pattern(rf"-U[ \t]{{0,2}}[^\s%]{{1,128}}%{_WORD}")),
    (
        ("lftp", "open -u "),
        Pattern(rf"(?:lftp|\bopen)[ \t][^\n|;]{{0,128}}?-u[ \t]?[^\s,]{{1,128}},{_WORD}"),
    ),
    (
        ("impdp", "expdp", "sqlldr", "rman"),
        Pattern(
            rf"\b(?:impdp|expdp|sqlldr|rman target)[ \t]{{1,3}}(?:userid=)?[\w$#]{{1,64}}/{_WORD}"
        ),
    ),
    (("iwconfig",), Pattern(rf"\biwconfig[ \t][^\n|;]{{0,128}}?key[ \t](?:s:)?{_WORD}")),
    (
        ("curl",),
        Pattern(
            r"\bcurl[ \t](?:[^\n|;]{0,256}?[ \t])?(?:-b|--cookie)[ \t=]{0,3}"
            r"(?:\"([^\"\n]{1,512})|'([^'\n]{1,512})|([^\s\"'=]{1,64}=\S{1,512}))"
        ),
    ),
    (("qpdf",), Pattern(rf"--encrypt[ \t]{{1,3}}{_WORD}")),
    (
        ("ConvertTo-SecureString",),
        Pattern(rf"ConvertTo-SecureString[ \t]{{1,4}}(?:-String[ \t]{{1,4}})?{_WORD}"),
    ),
    (("schtasks",), Pattern(rf"\bschtasks[ \t][^\n|;]{{0,256}}?[ \t]/rp[ \t]{_WORD}")),
    (
        ("steamcmd",),
        Pattern(rf"\bsteamcmd[ \t][^\n|;]{{0,128}}?\+login[ \t]\S{{1,64}}[ \t]{_WORD}"),
    ),
    (
        ("user:password", "user-password"),
        Pattern(rf"\buser[:\-]password[ \t]\S{{1,64}}[ \t]{_WORD}"),
    ),
    (("::add-mask::",), Pattern(r"::add-mask::([^\s\"']{1,512})")),
    (
        ("task.setvariable",),
        Pattern(r"task\.setvariable[^\]\n]{0,256}issecret=true[^\]\n]{0,64}\]([^\n\"']{1,512})"),
    ),
    (
        ("http -", "https -", "xh -"),
        Pattern(rf"\b(?:https?|xh)[ \t][^\n|;]{{0,128}}?-a[ \t]{{0,2}}[^\s:]{{1,128}}:{_WORD}"),
    ),
    (("-Dsonar.login",), Pattern(rf"-Dsonar\.login={_WORD}")),
    (("requirepass", "masterauth"), Pattern(rf"\b(?:requirepass|masterauth)[ \t]{{1,8}}{_WORD}")),
    (
        ("7z", "rar "),
        Pattern(rf"\b(?:7z[ar]?|rar|unrar)[ \t](?:[^\n|;]{{0,128}}?[ \t])?-h?p{_WORD}"),
    ),
    (("--from-literal",), Pattern(rf"--from-literal[ \t=]{{1,4}}[\"']?[\w.\-]{{1,128}}={_WORD}")),
    (
        ("openssl",),
        Pattern(
            rf"\bopenssl[ \t][^\n|;]{{0,200}}?[ \t]"
            rf"-(?:k|K|pass(?:in|out)?)[ \t]{{1,4}}(?:pass:)?{_WORD}"
        ),
    ),
    (
        ("htpasswd",),
        Pattern(
            rf"\bhtpasswd[ \t]{{1,4}}-\w{{0,8}}b\w{{0,8}}"
            r"(?:[ \t]{1,4}-\w{1,8}){0,4}[ \t]{1,4}\S{1,256}[ \t]{1,4}\S{1,128}[ \t]{1,4}"
            rf"{_WORD}"
        ),
    ),
    (
        ("net use",),
        Pattern(
            r"\bnet use(?:[ \t]{1,4}(?:[A-Za-z]:|\*))?(?:[ \t]{1,4}\\\S{1,256})?"
            r"(?:[ \t]{1,4}/(?![uU][sS][eE][rR]:)\S{1,64}){0,4}[ \t]{1,4}"
            rf"(?:/[uU][sS][eE][rR]:\S{{1,128}}[ \t]{{1,4}})?(?![/*\\]|[A-Za-z]:){_WORD}"
        ),
    ),
    (
        (" secret ", " password ", "isakmp key", " key "),
        Pattern(
            # Routers: the kind of what follows is a number before it.
            r"\b(?:(?:enable|username[ ]\S{1,64}(?:[ ]privilege[ ][0-9]{1,2})?)[ ]"
            r"(?:secret|password)[ ](?:(?:level[ ][0-9]{1,2}[ ])?[0-9][ ]|(?=[^\s0-9]{0,64}[0-9])"
            r"(?=[^\sA-Z!$@]{0,64}[A-Z!$@]))|crypto isakmp key[ ](?:[0-9][ ])?"
            r"|(?:radius|tacacs)(?:-server|[ ]server)[ ](?:host[ ]\S{1,64}[ ])"
            rf"(?:[\w\-]{{1,16}}[ ][0-9]{{1,5}}[ ]){{0,3}}key[ ](?:[0-9][ ])?){_WORD}"
        ),
    ),
    (("gcloud secrets",), Pattern(rf"\bgcloud secrets[ \t][^\n]{{0,200}}?--data[ \t=]{_WORD}")),
)
_KV = Pattern(
    r"\b(?:vault|bao) kv (?:put|patch)(?:[ \t]{1,4}-{1,2}[^\s|;]{1,128}){0,6}"
    r"[ \t]{1,4}[^\s=|;]{1,256}"
    r"((?:[ \t]{1,4}[^\n|;]{1,1024})?)"
)
_KV_VALUE = Pattern(
    r"(?:\A|[ \t])[\w.\-]{1,64}=(?:\"([^\"\n]{1,512})|'([^'\n]{1,512})|([^\s\"'@]\S{0,511}))"
)
_SET = Pattern(
    r"\b(?:aws configure set|setx|npm config set|yarn config set|git config(?:[ \t]--\w{1,16})?"
    r"|gcloud config set|pulumi config set(?:[ \t]--\w{1,16})?|dotnet user-secrets set"
    r"|setenv|set -g?x|export -n|reg add[ \t]{1,4}\S{1,256}[ \t]{1,4}/v)[ \t]{1,4}[\"']?"
    r"(?:\S{0,256}:)?([\w.\-]{1,128})[\"']?[ \t]{1,4}"
    rf"(?:/t[ \t]\w{{1,16}}[ \t]{{1,4}})?(?:/d[ \t]{{1,4}})?{_WORD}"
)
_SETTERS = (
    "configure set",
    "setx",
    "config set",
    "git config",
    "user-secrets set",
    "setenv",
    "set -x",
    "set -gx",
    "reg add",
)
_OF_LISTS = ("vault", "kv put", "kv patch", "configure", "openssl", "cargo", "rabbitmqctl")
"""What tells of these commands as a list of words, where ``vault login`` is no text."""
KEYWORDS: tuple[str, ...] = (
    *(word for words, _ in _PATTERNS for word in words),
    *_SETTERS,
    *_OF_LISTS,
)
"""What a text has in it that ``commands`` has to look at."""


def commands(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``vault login x``, ``aws configure set aws_secret_access_key x``, ``requirepass x``."""
    for words, pattern in _PATTERNS:
        if any(word in text for word in words):
            for match in pattern.finditer(text):
                yield from _unless_held(text, *match.span(match.lastindex or 0))
    if "kv p" in text:
        for match in _KV.finditer(text):
            for value in _KV_VALUE.finditer(text, *match.span(1)):
                yield from _unless_held(text, *value.span(value.lastindex or 0))
    if any(word in text for word in _SETTERS):
        for match in _SET.finditer(text):
            if is_secret(match.group(1).lstrip("_")):
                yield from _unless_held(text, *match.span(2))


def commands_in(words: list[str], is_secret: IsSecret) -> Iterator[int]:
    """Which words of a command line, as a list, are secret."""
    text = " ".join(words)
    if not any(keyword in text for keyword in KEYWORDS):
        return
    spans = list(commands(text, is_secret))
    at = 0
    for index, word in enumerate(words):
        if any(start < at + len(word) and at < end for start, end in spans):
            yield index
        at += len(word) + 1


def _unless_held(text: str, start: int, end: int) -> Iterator[Span]:
    if end > start and not PLACEHOLDER.fullmatch(text, start, end):
        yield start, end
