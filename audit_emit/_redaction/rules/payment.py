"""Keys of payment, shops and accounting.

Facts from the vendors' documentation and from the public rule sets of gitleaks, Kingfisher, Nosey
Parker and TruffleHog: prefix, alphabet, length.
"""

from __future__ import annotations

from audit_emit._redaction.rule import Rule, sample, token

RULES: tuple[Rule, ...] = (
    *token(
        "stripe-key",
        "sk_live_ sk_test_ rk_live_ rk_test_ sk_prod_ rk_prod_",
        "alnum",
        24,
        least=10,
        anywhere=True,
    ),
    *token("flutterwave-key", "FLWSECK_TEST- FLWSECK-", "word", 34, least=12, anywhere=True),
    Rule(
        id="stripe-client-secret",
        keywords=("_secret_",),
        find=r"(?<![A-Za-z0-9])[a-z]{2,6}_[A-Za-z0-9]{10,64}_secret_[A-Za-z0-9]{10,}",
        examples=lambda: (
            "pi_" + sample("pi", "alnum", 24) + "_secret_" + sample("cs", "alnum", 25),
        ),
    ),
    Rule(
        # Many vendors name a secret key so; some put its kind or the mode before the characters.
        id="sk-underscore-key",
        keywords=("sk_", "lk_"),
        find=(
            r"(?<![A-Za-z0-9])[sl]k_(?:[A-Za-z0-9]{1,64}_)?(?:[A-Za-z0-9]{1,24}_)?"
            r"(?=[A-Za-z0-9\-]{0,39}[0-9])[A-Za-z0-9\-]{16,}"
            r"|(?<![A-Za-z0-9])sk_(?=[a-z]{0,28}[A-Z])(?=[A-Z]{0,28}[a-z])[A-Za-z0-9]{29}(?![A-Za-z0-9_])"
        ),
        examples=lambda: (
            "sk_" + sample("sk", "alnum", 24),
            "sk_1234_123456_" + sample("sk2", "hex", 32),
            "sk_0a1b2c3d-1111-4222-8333-0a1b2c3d4e5f",
        ),
        non_examples=("sk_learn_model_version_number_2",),
        word_start=True,
        long_run=True,
    ),
    Rule(
        id="clickup-token",
        keywords=("pk_",),
        find=(
            r"(?<![A-Za-z0-9])pk_(?:[0-9]{7,9}_[0-9A-Z]{32}|[a-z0-9]{45}|[0-9a-f]{34}"
            r"|[A-Za-z0-9]{34}|[A-Za-z0-9]{6}_[0-9a-f]{34})(?![A-Za-z0-9])"
        ),
        examples=lambda: (
            "pk_1234567_" + sample("clickup", "upper", 32),
            "pk_" + sample("klaviyo", "hex", 34),
            "pk_" + sample("chec", "lower", 45),
        ),
        word_start=True,
        long_run=True,
    ),
    *token("gocardless-token", "live_ sandbox_", "base64url", 40, least=36, mixed=True),
    Rule(
        id="live-or-test-key",
        keywords=("live_", "test_", "sandbox_"),
        find=(
            r"(?:live|test|sandbox)_(?<!\w(?:live|test)_)(?<!\wsandbox_)(?=[A-Za-z0-9]{0,39}[0-9])"
            r"(?=[A-Za-z0-9]{0,39}[A-Z])(?=[A-Za-z0-9]{0,39}[a-z])[A-Za-z0-9]{24,}"
        ),
        examples=lambda: ("test_" + sample("column", "alnum", 27),),
        non_examples=("pk_live_" + sample("public", "alnum", 24),),
        word_start=True,
        long_run=True,
    ),
    *token("midtrans-key", "Mid-server-", "word", 24, least=16, anywhere=True),
    *token("polar-token", "polar_oat_ polar_pat_", "word", 43, least=24, anywhere=True),
    *token("ramp-secret", "ramp_sec_", "alnum", 48, least=24, anywhere=True),
    *token("lob-key", "test_ live_", "hex", 35, least=30),
    *token("easypost-key", "EZAK EZTK", "alnum", 54, least=30),
    *token("duffel-token", "duffel_live_ duffel_test_", "base64url", 43, least=20, anywhere=True),
    *token("pagarme-key", "ak_live_ ak_test_", "alnum", 30, least=20),
    *token(
        "paypal-braintree-token",
        "access_token$production$ access_token$sandbox$",
        "token",
        49,
        least=20,
        anywhere=True,
    ),
    *token(
        "plaid-token",
        "access-sandbox- access-development- access-production-",
        "word",
        36,
        least=32,
        anywhere=True,
    ),
    *token("razorpay-key", "rzp_live_ rzp_test_", "alnum", 14, least=14, anywhere=True),
    *token("shippo-token", "shippo_live_ shippo_test_", "HEX", 40, least=20, anywhere=True),
    *token(
        "shopify-token", "shpat_ shpss_ shpca_ shppa_ shpit_", "HEX", 32, least=13, anywhere=True
    ),
    Rule(
        id="square-token",
        keywords=("sq0a", "sq0c"),
        find=r"sq0[ac][a-z]{2}-[\w\-]{12,}",
        examples=lambda: ("sq0atp-" + sample("square", "word", 22), "sq0csp-" + "aB3-" * 11),
    ),
    *token("square-access-token", "EAAA", "token", 60, least=22, mixed=True),
    *token("teamwork-token", "tkn.v1_", "base64", 72, least=40, anywhere=True),
)
