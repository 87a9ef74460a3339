"""Keys of payment, shops and accounting.

Facts from the vendors' documentation and from the public rule sets of gitleaks, Kingfisher, Nosey
Parker and TruffleHog: prefix, alphabet, length.
"""

from __future__ import annotations

from audit_emit._redaction.rule import Rule, token

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
    *token("gocardless-token", "live_ sandbox_", "word", 40, least=36, mixed=True),
    *token("lob-key", "test_ live_", "hex", 35, least=30),
    *token("easypost-key", "EZAK EZTK", "alnum", 54, least=30),
    *token("duffel-token", "duffel_live_ duffel_test_", "word", 43, least=20, anywhere=True),
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
    *token("shippo-token", "shippo_live_ shippo_test_", "hex", 40, least=20, anywhere=True),
    *token(
        "shopify-token", "shpat_ shpss_ shpca_ shppa_ shpit_", "HEX", 32, least=13, anywhere=True
    ),
    *token("square-token", "sq0atp- sq0csp-", "word", 22, least=12, anywhere=True),
    *token("square-access-token", "EAAA", "word", 60, least=40),
    *token("teamwork-token", "tkn.v1_", "base64", 72, least=40, anywhere=True),
)
