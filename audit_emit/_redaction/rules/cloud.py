"""Tokens of clouds, hosts, content networks and identity providers.

Facts from the vendors' documentation and from the public rule sets of gitleaks, Kingfisher, Nosey
Parker and TruffleHog: prefix, alphabet, length.
"""

from __future__ import annotations

import re

from audit_emit._redaction.rule import Rule, sample, token

_AZURE_MARKS = tuple("AZDO AzFu ACDb AStG APIM AzSe AzCa AIoT +ACR +ASt +ASb +AEh +ABa".split())

RULES: tuple[Rule, ...] = (
    *token("aws-bedrock-key", "bedrock-api-key-", "base64", 100, least=30, anywhere=True),
    *token("aws-bedrock-long-key", "ABSK", "base64", 110, least=60),
    *token(
        "aws-session-token", "IQoJb3JpZ2luX2 FwoGZXIvYXdz FQoGZXIvYXdz", "base64url", 200, least=40
    ),
    *token("aws-appsync-key", "da2-", "lower", 26, least=20),
    *token("aws-mws-token", "amzn.mws.", "dotted", 36, least=20, anywhere=True),
    *token("alibaba-access-key", "LTAI", "alnum", 20, least=12),
    Rule(
        id="azure-devops-token",
        keywords=("JQQJ99",),
        find=r"(?<![A-Za-z0-9])[A-Za-z0-9]{0,80}JQQJ99[A-Za-z0-9]{16,}",
        examples=lambda: (sample("devops", "alnum", 52) + "JQQJ99" + sample("d2", "alnum", 26),),
    ),
    Rule(
        id="azure-client-secret",
        keywords=("Q~",),
        find=r"(?<![\w~.\-])[\w~.\-]{3}[0-9]Q~[\w~.\-]{31,34}(?![\w~\-])",
        examples=lambda: ("abc8Q~" + sample("azure-client-secret", "alnum", 34),),
    ),
    Rule(
        # Azure's keys carry a mark near their end, by which their issuer finds leaked ones.
        id="azure-marked-key",
        keywords=_AZURE_MARKS,
        find=(
            r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{33,80}"
            rf"(?:{'|'.join(map(re.escape, _AZURE_MARKS))})[A-Za-z0-9+/]{{4,10}}={{0,2}}"
        ),
        examples=lambda: tuple(
            sample(mark, "alnum", 42) + mark + sample(mark + "2", "alnum", 8)
            for mark in _AZURE_MARKS
        ),
    ),
    Rule(
        id="azure-refresh-token",
        keywords=("0.A", "1.A"),
        find=r"(?<![\w.\-])[01]\.A[\w\-]{50,}(?:\.[\w\-.]{1,200})?",
        examples=lambda: ("0.A" + sample("entra", "word", 90) + ".Ag" + sample("e2", "word", 120),),
        word_start=True,
        long_run=True,
    ),
    Rule(
        id="azure-repository-key",
        keywords=("git&",),
        find=r"git&[0-9]{12}&[A-Za-z0-9/+]{40,}={0,2}",
        examples=lambda: ("git&202501010000&" + sample("apim", "alnum", 86) + "==",),
    ),
    *token("cloudflare-token", "cfut_ cfat_ cfk_", "word", 40, least=20),
    Rule(
        id="cloudflare-origin-ca-key",
        keywords=("v1.0-",),
        find=r"v1\.0-(?:[0-9a-f]{24}-[0-9a-f]{40,}|[\w\-.]{100,})",
        examples=lambda: ("v1.0-" + "0a1b2c3d" * 3 + "-" + sample("origin", "hex", 146),),
    ),
    *token("cockroach-key", "CCDB1_", "word", 40, least=24),
    *token("databricks-token", "dapi", "hex", 32, least=32, rest="(?:-[0-9])?"),
    *token("digitalocean-token", "dop_v1_ doo_v1_ dor_v1_", "hex", 64, least=13, anywhere=True),
    *token("deno-token", "ddp_ ddw_", "alnum", 36, least=24),
    *token("fly-token", "fo1_ fm1_ fm1a_ fm1r_ fm2_ fo2_", "base64url", 43, least=20),
    *token("gcp-api-key", "AIza", "word", 35, least=24, anywhere=True),
    *token("gcp-oauth-secret", "GOCSPX-", "word", 28, least=16, anywhere=True),
    *token("gcp-oauth-token", "ya29.", "token", 100, least=10),
    *token("gcp-refresh-token", "1//0", "word", 100, least=40),
    *token("harness-token", "pat. sat.", "dotted", 66, least=60, mixed=True),
    *token("heroku-token", "HRKU-", "word", 60, least=20, anywhere=True),
    *token("netlify-token", "nfp_ nfo_ nfc_ nfu_ nfb_", "word", 36, least=20),
    *token("okta-token", "00", "undotted", 40, exact=True, mixed=True, long_run=True),
    *token("openshift-token", "sha256~", "word", 43, least=24, anywhere=True),
    *token(
        "planetscale-token",
        "pscale_tkn_ pscale_pw_ pscale_oauth_ pscale_app_",
        "padded",
        43,
        least=24,
        anywhere=True,
    ),
    *token("neon-key", "napi_", "alnum", 64, least=32),
    *token("pulumi-token", "pul-", "lower", 40, least=32, mixed=True),
    *token("render-key", "rnd_", "alnum", 28, least=20),
    *token("scalingo-token", "tk-us-", "word", 48, least=24, mixed=True),
    *token("supabase-key", "sbp_", "lower", 40, least=24),
    *token("supabase-secret", "sb_secret_", "word", 32, least=20, anywhere=True),
    *token("tailscale-key", "tskey-", "word", 32, least=16, anywhere=True),
    *token("vercel-token", "vcp_ vci_ vca_ vcr_ vck_", "word", 24, least=20),
    *token("yandex-key", "AQVN", "word", 36, least=24),
    *token("tencent-access-key", "AKID", "alnum", 32, least=24),
    *token("volcengine-access-key", "AKLT", "base64", 43, least=24),
    *token("yandex-static-key", "YC", "word", 38, exact=True, random=True, long_run=True),
    *token("yandex-token", "t1.", "token", 100, least=60, mixed=True),
    *token("yandex-oauth-token", "y0_ y1_ y2_ y3_", "word", 55, least=40),
    *token("defined-networking-key", "dnkey-", "padded", 79, least=26),
)

ACCESS_KEY_IDS: tuple[Rule, ...] = (
    *token("aws-access-key-id", "AKIA ASIA ABIA ACCA", "upper", 16, least=13),
)
"""The name of a key pair, which an operator looks for; ``hide_access_key_ids`` adds these."""
