"""Values that say where a secret is, or that it was left out: ``${SECRET}``, ``<password>``."""

from __future__ import annotations

import re

from audit_emit._redaction.names import is_secret_name, looks_random
from audit_emit._runtime.lazy import Pattern

__all__ = ["is_reference", "reference_end"]

_PATH = r"[\w.\-/#@*~+]"
_INNER = r"[A-Za-z_][\w.\-]{0,127}"
_STORES = (
    r"(?:vault|op|ssm|awssm|gcpsm|sm|secretsmanager|secretref|keyvault|akv|sops|bws|doppler"
    r"|infisical|keychain|keyring|param|resolve|self|ref\+[a-z]{2,16})"
)
"""How programs call the place that they fetch a secret from, before a colon."""
_READERS = (
    r"(?:cat|<|pass|pass show|op read|vault read|vault kv get|aws|gcloud|az|kubectl get|sops"
    r"|security find-generic-password|secret-tool lookup|printenv|heroku config:get|bw get)"
)
"""Commands that print a secret; their arguments name it."""
_FETCHERS = r"(?:lookup|query|vault|secret|hashi_vault|op|ssm)"
"""Functions of templates that fetch a secret, by all their arguments."""
_OF_ENVIRONMENT = r"(?:env|env_var|getenv)"
"""Functions whose second argument is what is taken where the variable is not set."""
_ELSE = r"(?:default|coalesce|fallback|ternary|\bor\b|\belse\b|\?|\|\|)"
"""What stands before a value of their own, which may be a secret."""
_ARGUMENT = r"[^()`$;|&<\r\n]"
"""Not what a command is given as its input: ``$(cat <<< hunter2)``."""
_WORDS = r"[A-Za-z][A-Za-z ._\-]{0,62}[A-Za-z]"
_REFERENCE = Pattern(
    # Variables; with a default behind the name it may be a secret that stands there.
    rf"\$\{{{{?[ \t]{{0,4}}{_INNER}(?::?\?[\w .,\-]{{0,64}})?[ \t]{{0,4}}\}}?\}}"
    rf"|\$\{{(?:(?i:env):[A-Za-z_]\w{{0,127}}|(?:{_STORES}|file):{_PATH}{{1,256}})\}}"
    r"|\$(?:env:|ENV:)?(?P<variable>[A-Za-z_]{2,64}(?<![\W_])(?:_[0-9]{1,2})?|[A-Z][A-Z0-9]{0,32}"
    r"(?:_[A-Z0-9]{1,32}){1,8})"
    r"|%(?P<of_windows>[A-Z][A-Z0-9_]{1,64})%|\$\{\}"
    # Templates.
    rf"|\{{\{{-?[ \t]{{0,4}}[.$]?{_INNER}(?:[ \t]{{0,4}}\|[ \t]{{0,4}}[a-z]\w{{1,32}}){{0,4}}"
    r"[ \t]{0,4}-?\}\}"
    rf"|\{{\{{resolve:[a-z\-]{{2,24}}:{_PATH}{{1,128}}(?::[\w.\-]{{0,64}}){{0,4}}\}}\}}"
    rf"|\{{\{{-?[ \t]{{0,4}}{_FETCHERS}[ \t]{{0,2}}[( ](?![^{{}}]{{0,256}}{_ELSE})"
    r"(?P<fetched>[^{}\r\n]{1,256})\}\}"
    rf"|\{{\{{-?[ \t]{{0,4}}{_OF_ENVIRONMENT}[ \t]{{0,2}}[( ][ \t]{{0,2}}"
    r"[\"'][A-Za-z_]\w{0,63}[\"'][ \t]{0,2}\)?[ \t]{0,4}-?\}\}"
    r"|%[srvdqp]|%\([A-Za-z_][\w.]{0,64}\)[sr]|\{[0-9]?\}|\{(?P<field>[A-Za-z_][A-Za-z_.]{1,64})(?:![rsa])?\}"
    r"|[:@](?P<parameter>[A-Za-z_]{2,64})"
    # Commands, and addresses in a store.
    rf"|\$\((?P<expanded>[A-Za-z_][\w.]{{1,64}})\)"
    rf"|\$\({_READERS}[ \t]{{0,4}}{_ARGUMENT}{{0,256}}\)|`{_READERS}[ \t]{_ARGUMENT}{{1,256}}`"
    rf"|(?:env|ENV|os\.environ/)[:/]?[A-Z][A-Z0-9_]{{2,64}}|{_STORES}://{_PATH}{{1,256}}"
    rf"|{_STORES}:(?P<address>{_PATH}{{0,128}}/{_PATH}{{1,256}}|[A-Za-z_\-]{{1,64}})"
    rf"|file:{{1,2}}/{_PATH}{{1,256}}"
    # What a statement takes from outside, and what Terraform made elsewhere.
    r"|\$[0-9]{1,2}|\?[0-9]{1,2}|[:@]p?[0-9]{1,2}"
    r"|(?:data(?=\.[a-z]{2,24}_)|each(?=\.(?:key|value)\b)"
    r"|(?:module|local|var)(?=\.[a-z_]{0,64}_|[^\s]{0,128}\.(?:password|secret|token|value|result|key)\b)"
    r"|(?:random|aws|google|azurerm|azuread|vault|tls|kubernetes)_[a-z_]{2,48})"
    r"(?:\.[a-z][a-z_]{0,63}[0-9]{0,2}|\[(?:[\"'][a-z][a-z_.]{0,62}[\"']|[0-9]{1,3}|each\.key|count\.index)\])"
    r"{2,6}"
    # Variables of a program.
    r"|(?P<attribute>[a-z_]\w{0,63}(?:\.[A-Za-z_]{1,64}){1,8})"
    r"|[#@]\{(?P<interpolated>[A-Za-z_][\w.]{1,64})\}"
    r"|<%[=\-]{0,2}[ \t]{0,4}[A-Za-z_@][\w.@]{0,63}[ \t]{0,4}-?%>"
    # Rules of a form.
    r"|(?:required|nullable|sometimes|string)(?:\|(?:required|nullable|sometimes|string|filled|present"
    r"|confirmed|email|numeric|integer|array|boolean|alpha(?:_num|_dash)?|current_password|password"
    r"|bail|hashed|(?:min|max|size|digits|digits_between|between)(?::[0-9,]{1,12})?"
    r"|(?:same|different|unique|exists|required_(?:if|with|without|unless))(?::[a-z_,.]{1,32})?)){1,12}"
    # What stands for a value that was left out.
    r"|(?P<example>(?i:your|insert|enter|put|add|replace)[_\-][A-Za-z_\-]{3,64})"
    r"|(?:[A-Za-z][A-Za-z_\-]{1,12}[_\-])?(?:\*{2,256}|[xX]{4,256}|\u2022{2,256}|\u25cf{2,256})"
    r"|\.{3,64}|\u2026{1,64}|-{3,64}|_{3,64}|#{3,64}|\?{1,64}|\u2588{1,64}"
    rf"|\w{{0,16}}\(\\{{0,7}}[\"']\*{{2,64}}\\{{0,7}}[\"']\)"
    rf"|[<\[({{]{{1,2}}(?P<words>{_WORDS})[>\])}}]{{1,2}}"
    r"|(?i:hidden_due_to_security_reasons|redacted|filtered|masked|censored|scrubbed|omitted)"
)
_STARTS = frozenset("$%{<[(*xX\u2022\u25cf.\u2026-_#?\u2588`:@")
"""Characters that all of these begin with, besides those that have a colon or are words."""
_AS_WORDS = frozenset("redacted filtered masked censored scrubbed omitted".split())
_OF_A_VALUE = _AS_WORDS | frozenset(
    "your my the insert enter some value here example put add paste hidden removed sanitized "
    "sanitised obfuscated suppressed sensitive protected withheld set unset empty none null "
    "unchanged unknown not no".split()
)
"""Words in brackets that say that a value was left out, or is to be put there."""
_LONGEST = 600
_AFTER = Pattern(r"[\s\"'`,;&)\]}|<]|\\|\.?(?:\s|\Z)|\Z")


def is_reference(value: str) -> bool:
    """Whether a value only names where a secret is, or stands for one that was left out."""
    if not _may_be(value) or len(value) > _LONGEST:
        return False
    found = _REFERENCE.fullmatch(value)
    return found is not None and _means_one(found)


def reference_end(text: str, start: int) -> int:
    """Where such a value that stands in a text ends; ``start`` where none is."""
    found = _REFERENCE.match(text, start)
    if found is None or found.end() == start or _AFTER.match(text, found.end()) is None:
        return start
    return found.end() if _means_one(found) else start


_DRAWN = Pattern(
    r"[\"'](?![A-Z0-9_]{1,256}[\"'])(?=[^\"'/]{0,256}[0-9!#$%^*+~@=])(?=[^\"'/]{0,256}[A-Za-z])"
    r"[^\"'/]{4,256}[\"']"
)
"""An argument that is no path and no name of a variable, and has more than letters."""


def _may_be(value: str) -> bool:
    if value[:1] in _STARTS:
        return True
    if ":" in value or "*" in value or "_" in value or "." in value or "/" in value:
        return True
    if "|" in value:
        return True
    return len(value) < 10 and value.lower() in _AS_WORDS


def _means_one(found: re.Match[str]) -> bool:
    """Whether the words in it are those of a variable or a placeholder, not of a secret."""
    kind = found.lastgroup  # no form of it has two of them
    said = found.group(kind) if kind is not None else ""
    if kind in ("variable", "of_windows", "parameter", "expanded"):
        if said[-1:].isdigit() and not (said.isupper() or said.islower()):
            return False  # $Password_1 has all that a form asks of a password
        return is_secret_name(said) or ("_" in said.strip("_") and said.isupper())
    if kind == "address":
        parts = said.split("/")
        # One word may also be the password of an account: ``vault:letmein``.
        if len(parts) == 1 and "-" not in said and "_" not in said:
            return is_secret_name(said)
        return not any(map(looks_random, parts))
    if kind == "attribute":
        return is_secret_name(said.rpartition(".")[2])
    if kind == "example":
        return is_secret_name(said) or said.isupper() or said.lower().endswith("here")
    if kind == "fetched":
        return _DRAWN.search(said) is None
    if kind in ("field", "interpolated"):
        return "." in said or "_" in said or is_secret_name(said)
    if kind != "words":
        return True
    parts = said.replace("_", " ").replace("-", " ").replace(".", " ").lower().split()
    return not _OF_A_VALUE.isdisjoint(parts) or is_secret_name(said.replace(" ", "_"))
