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
        "sc_ ext_ scauth_",
        "padded",
        70,
        least=48,
        rest=r"[A-Za-z0-9_\-.=~%+/]*",
        mixed=True,
        long_run=True,
    ),
    *token("authress-account-key", "authress_", "token", 90, least=48, mixed=True),
    *token("clickhouse-key", "4b1d", "alnum", 38, exact=True, long_run=True),
    *token("bannerbear-key", "bb_pr_ bb_ma_", "hex", 30, least=24),
    *token("beamer-token", "b_", "undotted", 44, exact=True, mixed=True, long_run=True),
    *token("besttime-key", "pri_", "hex", 32, least=32),
    *token("cal-key", "cal_live_ cal_test_", "hex", 32, least=24),
    *token("close-key", "api_", "dotted", 45, least=40, random=True, long_run=True),
    *token("dfuse-key", "web_ server_", "lower", 32, exact=True, mixed=True, long_run=True),
    *token("dropbox-token", "sl.", "padded", 140, least=60, mixed=True),
    Rule(
        id="dropbox-long-lived-token",
        keywords=("AAAAAAAAAA",),
        find=r"(?<![A-Za-z0-9])[A-Za-z0-9]{11}AAAAAAAAAA[\w\-=]{40,}",
        examples=lambda: (sample("dropbox", "lower", 11) + "AAAAAAAAAA" + sample("d", "word", 43),),
    ),
    *token("ecostruxure-key", "AK1", "base64", 52, least=50),
    *token("facebook-token", "EAAG EAAM EAAC", "alnum", 110, least=40),
    *token("facebook-session-token", "EAACEdEose0cBA", "alnum", 110, least=6, anywhere=True),
    *token("frameio-token", "fio-u-", "base64url", 64, least=24),
    *token("gemini-key", "account- master-", "alnum", 20, exact=True, mixed=True, long_run=True),
    *token("locationiq-token", "pk.", "alnum", 32, exact=True, mixed=True, long_run=True),
    *token("mailsac-key", "k_", "alnum", 40, least=36, random=True, long_run=True),
    *token("mercury-token", "mercury_production_ mercury_sandbox_", "word", 40, least=24),
    *token("recaptcha-key", "6Lc 6Ld 6Le 6Lf", "word", 37, exact=True, mixed=True),
    *token("salad-key", "salad_cloud_", "word", 40, least=14, anywhere=True, mixed=True),
    *token("salesforce-refresh-token", "5Aep861 5AEP861", "padded", 100, least=60),
    *token("samsara-key", "samsara_api_", "alnum", 30, least=20, anywhere=True),
    *token("sanity-token", "sk", "alnum", 79, exact=True, mixed=True, long_run=True),
    *token("shutterstock-token", "v2/", "alnum", 388, least=100, mixed=True, long_run=True),
    *token("sindri-key", "sindri_", "alnum", 32, least=24),
    *token("unkey-key", "unkey_", "alnum", 22, least=20),
    *token("fullstory-key", "na1. eu1.", "base64", 100, least=60),
    *token("hubspot-token", "pat-na1- pat-eu1-", "word", 36, least=24, anywhere=True),
    *token("intra42-secret", "s-s4t2ud- s-s4t2af-", "hex", 64, least=32, anywhere=True),
    *token("ionic-token", "ion_", "lower", 42, least=32),
    *token("flexport-key", "shltm_", "word", 40, least=24),
    *token("fleetbase-key", "flb_live_ flb_test_", "alnum", 20, least=14),
    *token("mapbox-token", "sk.eyJ tk.eyJ", "dotted", 80, least=24, anywhere=True),
    Rule(
        id="mapbox-other-token",
        keywords=("sk.", "tk."),
        find=(r"(?<![A-Za-z0-9])[st]k\.(?=[\w\-.=]{0,39}[0-9])[\w\-.=]{50,}[+/]*"),
        examples=lambda: ("sk." + sample("mapbox", "lower", 60) + "." + sample("m2", "lower", 22),),
        word_start=True,
        long_run=True,
    ),
    Rule(
        id="maxmind-key",
        keywords=("_mmk",),
        find=r"(?<![A-Za-z0-9_])[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk",
        examples=lambda: ("aB3dE5_" + sample("maxmind", "alnum", 29) + "_mmk",),
    ),
    Rule(
        id="salesforce-token",
        keywords=("00D",),
        find=r"(?<![A-Za-z0-9])00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{60,}",
        examples=lambda: ("00D" + sample("sf", "alnum", 12) + "!" + sample("sf2", "alnum", 96),),
        word_start=True,
    ),
    *token("settlemint-token", "sm_aat_ sm_pat_ sm_sat_", "alnum", 16, least=13, anywhere=True),
    *token("scrapfly-key", "scp-live- scp-test-", "lower", 32, least=24),
    *token("voiceflow-key", "VF.", "dotted", 44, least=40, mixed=True),
    *token("zoho-token", "1000.", "dotted", 65, exact=True),
    *token("zuplo-key", "zpka_", "word", 40, least=20),
)
