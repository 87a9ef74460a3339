"""Tokens of monitoring, feature flags, secrets stores and incident response.

Facts from the vendors' documentation and from the public rule sets of gitleaks, Kingfisher, Nosey
Parker and TruffleHog: prefix, alphabet, length.
"""

from __future__ import annotations

from audit_emit._redaction.rule import Rule, sample, token

_UUID = r"[0-9A-Za-z]{8}-[0-9A-Za-z]{4}-[0-9A-Za-z]{4}-[0-9A-Za-z]{4}-[0-9A-Za-z]{12}"

RULES: tuple[Rule, ...] = (
    *token("datadog-application-key", "ddapp_", "alnum", 34, least=30),
    *token("logfire-token", "pylf_v1_us_ pylf_v1_eu_", "alnum", 43, least=32),
    *token("mergify-key", "mergify_application_key_", "word", 40, least=30),
    *token("ory-token", "ory_st_ ory_pat_ ory_at_ ory_rt_ ory_ac_", "dotted", 43, least=30),
    *token("trigger-dev-token", "tr_pat_", "alnum", 40, least=30),
    *token("vercel-blob-token", "vercel_blob_rw_", "word", 48, least=30),
    Rule(
        id="truenas-key",
        keywords=("login_with_api_key",),
        find=r"login_with_api_key[^\]\n]{0,64}[^0-9\n]([0-9]{1,5}-[A-Za-z0-9]{64})",
        examples=lambda: (
            '"auth.login_with_api_key", "params": ["8-' + sample("nas", "alnum", 64),
        ),
    ),
    *token("1password-service-token", "ops_eyJ", "base64url", 250, least=13, anywhere=True),
    Rule(
        id="1password-secret-key",
        keywords=("A3-",),
        find=r"(?<![A-Za-z0-9])A3-[A-Z0-9]{6}-[A-Z0-9\-]{11,13}(?:-[A-Z0-9]{5})[A-Z0-9\-]{0,12}",
        examples=lambda: (
            "A3-ABC123-ABCDE1FGHI2-JKLM3-NOPQ4-RSTU5",
            "A3-ABC123-ABC123-ABCD1-EFGH2-IJKL3",
        ),
        word_start=True,
    ),
    *token(
        "doppler-token", "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.", "dotted", 43, least=30
    ),
    *token("dynatrace-token", "dt0c01. dt0s01. dt0s02. dt0s16. dt0s08.", "dotted", 89, least=60),
    Rule(
        id="dynatrace-other-token",
        keywords=("dt0",),
        find=r"(?<![A-Za-z0-9])dt0[A-Za-z][0-9]{2}\.[A-Z0-9]{24}\.[A-Z0-9]{40,}",
        examples=lambda: (
            "dt0x09." + sample("dt", "upper", 24) + "." + sample("dt2", "upper", 64),
        ),
        word_start=True,
    ),
    *token("grafana-cloud-token", "glc_", "base64url", 64, least=13),
    *token("grafana-service-token", "glsa_", "word", 41, least=13),
    *token("grafana-old-key", "eyJrIjoi", "base64", 100, least=40),
    *token("honeycomb-key", "hcaik_ hcaek_ hcamk_ hcalk_", "alnum", 58, least=24),
    Rule(
        id="launchdarkly-key",
        keywords=("api-", "sdk-", "mob-"),
        find=rf"(?<![A-Za-z0-9])(?:api|sdk|mob|rh-api)-{_UUID}(?![\w-])",
        examples=lambda: ("sdk-0a1b2c3d-1111-4222-8333-0a1b2c3d4e5f",),
        non_examples=("api-gateway-production-eu-central-1",),
        word_start=True,
        long_run=True,
    ),
    *token(
        "new-relic-key", "NRAK- NRII- NRIQ- NRRA- NRAA- NRSP- NRJS- NRBR-", "word", 27, least=16
    ),
    Rule(
        id="new-relic-license-key",
        keywords=("NRAL", "nral", "-NRMA"),
        find=r"(?<![A-Za-z0-9])[A-Za-z0-9]{36,48}(?:NRAL|nral|-NRMA)(?![A-Za-z0-9])",
        examples=lambda: (
            sample("nr", "hex", 32) + "FFFFNRAL",
            sample("nr2", "hex", 36) + "nral",
            "AA" + sample("nrma", "hex", 40) + "-NRMA",
        ),
        long_run=True,
    ),
    *token("new-relic-lower-key", "nrak- nrii- nriq- nrra- nraa-", "word", 27, least=20),
    *token("pixie-key", "px-api- px-dep-", "word", 36, least=24),
    *token(
        "sentry-token", "sntrys_ sntryu_ sntrya_ sntryi_", "base64url", 64, least=13, anywhere=True
    ),
    *token("posthog-key", "phx_ phs_", "word", 43, least=24),
    *token("stackhawk-key", "hawk.", "dotted", 41, least=24, mixed=True),
    *token("vault-token", "hvs. hvb. hvr.", "word", 95, least=20),
    *token("vault-old-token", "s. b. r.", "word", 24, least=24, random=True, long_run=True),
    *token("axiom-token", "xaat- xapt-", "word", 36, least=24, anywhere=True),
    *token("devcycle-key", "dvc_server_ dvc_mobile_", "word", 40, least=24, anywhere=True),
    *token("inngest-key", "signkey-prod- signkey-test-", "hex", 64, least=32, anywhere=True),
    *token("logicmonitor-token", "lmb_", "word", 40, least=24, mixed=True),
    *token("rootly-key", "rootly_", "hex", 64, least=32, anywhere=True),
    *token("trigger-key", "tr_dev_ tr_prod_ tr_stg_", "alnum", 24, least=18),
    *token("webhook-signing-secret", "whsec_", "base64url", 32, least=13, anywhere=True),
    *token("wakatime-key", "waka_", "word", 36, least=24),
    *token("infisical-token", "st.", "dotted", 100, least=60, mixed=True),
    *token("kong-konnect-token", "kpat_ spat_", "alnum", 45, least=24),
    *token("mongodb-atlas-secret", "mdb_sa_sk_", "word", 40, least=20, anywhere=True),
    *token("nightfall-key", "NF-", "alnum", 32, least=24),
    *token("ubidots-token", "BBFF-", "alnum", 30, least=20),
)
