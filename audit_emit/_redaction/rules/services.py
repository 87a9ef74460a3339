"""Tokens of other services.

Facts from the vendors' documentation and from the public rule sets of gitleaks, Kingfisher, Nosey
Parker and TruffleHog: prefix, alphabet, length.
"""

from __future__ import annotations

from audit_emit._redaction.rule import Rule, sample, token

RULES: tuple[Rule, ...] = (
    *token("adafruit-key", "aio_", "alnum", 28, least=20),
    *token("adobe-secret", "p8e-", "word", 32, least=24),
    *token(
        "authress-key",
        "sc_ ext_ scauth_ authress_",
        "token",
        70,
        least=48,
        mixed=True,
        long_run=True,
    ),
    *token("clickhouse-key", "4b1d", "alnum", 38, exact=True, long_run=True),
    *token("dropbox-token", "sl.", "word", 140, least=60, mixed=True),
    *token("facebook-token", "EAACEdEose0cBA EAAG EAAM EAAC", "alnum", 110, least=40),
    *token("frameio-token", "fio-u-", "word", 64, least=24),
    *token("fullstory-key", "na1. eu1.", "base64", 100, least=60),
    *token("hubspot-token", "pat-na1- pat-eu1-", "word", 36, least=24, anywhere=True),
    *token("intra42-secret", "s-s4t2ud- s-s4t2af-", "hex", 64, least=32, anywhere=True),
    *token("ionic-token", "ion_", "lower", 42, least=32),
    *token("flexport-key", "shltm_", "word", 40, least=24),
    *token("fleetbase-key", "flb_live_ flb_test_", "alnum", 20, least=14),
    *token("mapbox-token", "sk.eyJ tk.eyJ", "dotted", 80, least=24, anywhere=True),
    Rule(
        id="maxmind-key",
        keywords=("_mmk",),
        find=r"(?<![A-Za-z0-9_])[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk",
        examples=("aB3dE5_" + sample("maxmind", "alnum", 29) + "_mmk",),
    ),
    Rule(
        id="salesforce-token",
        keywords=("00D",),
        find=r"(?<![A-Za-z0-9])00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{60,}",
        examples=("00D" + sample("sf", "alnum", 12) + "!" + sample("sf2", "alnum", 96),),
        word_start=True,
    ),
    *token("settlemint-token", "sm_aat_ sm_pat_ sm_sat_", "alnum", 16, least=13, anywhere=True),
    *token("scrapfly-key", "scp-live- scp-test-", "lower", 32, least=24),
    *token("voiceflow-key", "VF.", "dotted", 44, least=40, mixed=True),
    *token("zoho-token", "1000.", "dotted", 65, exact=True),
    *token("zuplo-key", "zpka_", "word", 40, least=20),
)
