"""Tokens and web hooks of chats, mail and telephony.

Facts from the vendors' documentation and from the public rule sets of gitleaks, Kingfisher, Nosey
Parker and TruffleHog: prefix, alphabet, length.
"""

from __future__ import annotations

from audit_emit._redaction.rule import Rule, sample, token

_SLACK_CHANNEL = r"T\w{2,16}/[AB]\w{2,16}/"

RULES: tuple[Rule, ...] = (
    Rule(
        id="slack-token",
        keywords=tuple(f"xox{kind}" for kind in "abcdeoprs"),
        find=r"xox[abcdeoprs][0-9]{0,3}[\-.][A-Za-z0-9_\-.=~%+/]{8,}",
        examples=lambda: tuple(f"xox{kind}-" + sample(kind, "word", 50) for kind in "abcdeoprs"),
    ),
    *token("slack-app-token", "xapp-", "word", 90, least=12, anywhere=True),
    Rule(
        id="slack-webhook",
        keywords=("hooks.slack.com/",),
        find=(
            r"hooks\.slack\.com/(?:services|workflows|triggers)/"
            rf"(?:{_SLACK_CHANNEL}|(?!{_SLACK_CHANNEL}))"
            r"([\w\-/+]{12,})"
        ),
        examples=lambda: ("https://hooks.slack.com/services/T00000000/B00000000/" + "aB3" * 8,),
    ),
    Rule(
        id="discord-webhook",
        keywords=("/api/webhooks/",),
        find=r"/api/webhooks/[0-9]{13,24}/([\w\-]{6,})",
        examples=lambda: ("https://discord.com/api/webhooks/123456789012345678/" + "aB3-" * 17,),
    ),
    Rule(
        id="teams-webhook",
        keywords=("webhook.office.com/", "/IncomingWebhook/"),
        find=r"/IncomingWebhook/([\w\-/]{16,})",
        examples=lambda: (
            "https://example.webhook.office.com/webhookb2/1b2c@3d4e/IncomingWebhook/"
            + "0a1b2c3d" * 4
            + "/0b1c2d3e-0000-4000-8000-00000000000a",
        ),
    ),
    Rule(
        id="power-automate-webhook",
        keywords=("/workflows/", "logic.azure.com"),
        find=r"/workflows/[0-9a-f]{32}/[^\s\"']{1,128}[?&]sig=([\w\-%]{16,})",
        examples=lambda: (
            "https://prod-1.logic.azure.com/workflows/"
            + "0a" * 16
            + "/triggers/manual/paths/invoke?api-version=2016&sig="
            + "aB3-" * 10,
        ),
    ),
    Rule(
        id="zapier-webhook",
        keywords=("hooks.zapier.com/",),
        find=r"hooks\.zapier\.com/hooks/catch/([\w/]{4,})",
        examples=lambda: ("https://hooks.zapier.com/hooks/catch/1234567/aB3dE5f/",),
    ),
    Rule(
        id="tines-webhook",
        keywords=(".tines.com/webhook/",),
        find=r"\.tines\.com/webhook/[\w\-]{4,128}/([\w\-]{16,})",
        examples=lambda: ("https://example.tines.com/webhook/" + "0a" * 16 + "/" + "0b" * 16,),
    ),
    Rule(
        id="ifttt-webhook",
        keywords=("maker.ifttt.com/",),
        find=r"maker\.ifttt\.com/trigger/[\w\-]{1,64}/(?:json/)?with/key/([\w\-]{10,})",
        examples=lambda: ("https://maker.ifttt.com/trigger/alarm/with/key/" + "aB3-" * 6,),
    ),
    Rule(
        id="telegram-bot-token",
        keywords=(":A",),
        find=r"(?<=[0-9]{6}):(A[\w\-]{32,})",
        examples=lambda: ("1234567890:AA" + sample("telegram", "word", 33),),
        long_run=True,
    ),
    Rule(
        # The first part is the bot's number in base64, so it begins as one of nine digits does.
        id="discord-bot-token",
        keywords=("MT", "Mj", "Mz", "ND", "NT", "Nj", "Nz", "OD", "OT"),
        find=(r"(?<![\w.\-])(?:MT|M[jz]|N[DTjz]|O[DT])[A-Za-z0-9]{21,26}\.[\w\-]{6}\.[\w\-]{27,}"),
        examples=lambda: (f"MT{sample('bot', 'alnum', 22)}.aBc-_1.{sample('bot2', 'word', 38)}",),
        word_start=True,
        long_run=True,
    ),
    *token("sendgrid-key", "SG.", "padded", 66, least=16),
    *token(
        "mailgun-key",
        "key-",
        "alnum",
        32,
        least=32,
        mixed=True,
        long_run=True,
        non_examples=("monkey-" + "0a" * 16,),
    ),
    Rule(
        id="mailchimp-key",
        keywords=("-us",),
        find=r"(?<![\w\-])[0-9a-z]{32}-us[0-9]{1,3}(?![\w\-])",
        examples=lambda: ("0a1b2c3d" * 4 + "-us12",),
        long_run=True,
    ),
    *token("brevo-key", "xkeysib- xsmtpsib-", "word", 81, least=40, anywhere=True),
    *token("resend-key", "re_", "word", 33, least=24, mixed=True, long_run=True),
    *token("twilio-key", "SK", "alnum", 32, exact=True, mixed=True, long_run=True),
    Rule(
        id="courier-key",
        keywords=("pk_",),
        find=r"(?<![A-Za-z0-9])pk_(?!live_|test_)[A-Za-z0-9]{1,24}_[A-Za-z0-9]{28}(?![A-Za-z0-9])",
        examples=lambda: ("pk_prod_" + sample("courier", "alnum", 28),),
        non_examples=("pk_live_" + sample("public", "alnum", 24),),
        word_start=True,
        long_run=True,
    ),
    Rule(
        id="lark-token",
        keywords=("t-", "u-", "a-"),
        find=(
            r"(?<![\w\-.])[tua]-(?=[\w.]{0,39}[0-9])(?=[\w.]{0,39}[A-Z])(?=[\w.]{0,39}[a-z])"
            r"[\w.]{20,50}(?![\w\-.])"
        ),
        examples=lambda: ("t-" + sample("lark", "alnum", 22),),
        word_start=True,
        long_run=True,
    ),
    *token("telnyx-key", "KEY", "word", 55, exact=True, mixed=True, long_run=True),
    *token("intercom-token", "dG9rO", "base64", 55, least=30),
    *token("typeform-token", "tfp_", "padded", 59, least=24),
    *token("pubnub-secret", "sec-c-", "base64", 48, least=24),
)
