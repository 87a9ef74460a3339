"""Records of clouds, log lines and values in which nothing is secret, made up by their schemas."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

__all__ = ["cloudtrail", "harmless_value", "log_line"]

_HEX = "0123456789abcdef"
_UPPER = string.ascii_uppercase + string.digits


def _text(random: Random, alphabet: str, length: int) -> str:
    return "".join(random.choices(alphabet, k=length))


def _uuid(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=4))


def _time(random: Random) -> str:
    return (
        f"2026-{random.randint(1, 12):02}-{random.randint(1, 28):02}T"
        f"{random.randint(0, 23):02}:{random.randint(0, 59):02}:{random.randint(0, 59):02}Z"
    )


def _ip(random: Random) -> str:
    return ".".join(str(random.randint(1, 250)) for _ in range(4))


_EVENTS: tuple[tuple[str, str, Callable[[Random, str], Any], Callable[[Random, str], Any]], ...] = (
    (
        "secretsmanager.amazonaws.com",
        "GetSecretValue",
        lambda r, a: {
            "secretId": f"arn:aws:secretsmanager:eu-west-1:{a}:secret:prod/db/password-"
            + _text(r, string.ascii_letters, 6)
        },
        lambda r, a: None,
    ),
    (
        "secretsmanager.amazonaws.com",
        "RotateSecret",
        lambda r, a: {"secretId": "prod/api-token", "clientRequestToken": _uuid(r)},
        lambda r, a: {"arn": f"arn:aws:secretsmanager:eu-west-1:{a}:secret:prod/api-token-a1B2c3"},
    ),
    (
        "sts.amazonaws.com",
        "AssumeRole",
        lambda r, a: {"roleArn": f"arn:aws:iam::{a}:role/deploy", "roleSessionName": "ci-17"},
        lambda r, a: {
            "credentials": {
                "accessKeyId": "ASIA" + _text(r, _UPPER, 16),
                "expiration": "Nov 29, 2026, 9:00:00 PM",
            },
            "assumedRoleUser": {
                "assumedRoleId": "AROA" + _text(r, _UPPER, 17) + ":ci-17",
                "arn": f"arn:aws:sts::{a}:assumed-role/deploy/ci-17",
            },
        },
    ),
    (
        "iam.amazonaws.com",
        "CreateAccessKey",
        lambda r, a: {"userName": "bob"},
        lambda r, a: {
            "accessKey": {
                "accessKeyId": "AKIA" + _text(r, _UPPER, 16),
                "status": "Active",
                "userName": "bob",
                "createDate": "Nov 29, 2026, 9:00:00 PM",
            }
        },
    ),
    (
        "iam.amazonaws.com",
        "UpdateLoginProfile",
        lambda r, a: {"userName": "bob", "passwordResetRequired": True},
        lambda r, a: None,
    ),
    (
        "iam.amazonaws.com",
        "GetAccountPasswordPolicy",
        lambda r, a: None,
        lambda r, a: {
            "passwordPolicy": {
                "minimumPasswordLength": 14,
                "requireSymbols": True,
                "passwordReusePrevention": 24,
            }
        },
    ),
    (
        "ssm.amazonaws.com",
        "GetParameter",
        lambda r, a: {"name": "/prod/app/db_password", "withDecryption": True},
        lambda r, a: None,
    ),
    (
        "kms.amazonaws.com",
        "Decrypt",
        lambda r, a: {
            "keyId": f"arn:aws:kms:eu-west-1:{a}:key/{_uuid(r)}",
            "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "encryptionContext": {
                "SecretARN": f"arn:aws:secretsmanager:eu-west-1:{a}:secret:prod/db-x1Y2z3"
            },
        },
        lambda r, a: None,
    ),
    (
        "ec2.amazonaws.com",
        "RunInstances",
        lambda r, a: {
            "clientToken": _uuid(r),
            "instancesSet": {"items": [{"imageId": "ami-" + _text(r, _HEX, 17), "keyName": "ops"}]},
            "metadataOptions": {"httpTokens": "required"},
        },
        lambda r, a: {"requestId": _uuid(r), "reservationId": "r-" + _text(r, _HEX, 17)},
    ),
    (
        "s3.amazonaws.com",
        "GetObject",
        lambda r, a: {
            "bucketName": "backup",
            "key": "secrets/2026/11/dump.sql.gz",
            "Host": "backup.s3.amazonaws.com",
        },
        lambda r, a: None,
    ),
    (
        "cloudtrail.amazonaws.com",
        "LookupEvents",
        lambda r, a: {"maxResults": 50, "nextToken": _text(r, string.ascii_letters, 40)},
        lambda r, a: None,
    ),
    (
        "signin.amazonaws.com",
        "ConsoleLogin",
        lambda r, a: None,
        lambda r, a: {"ConsoleLogin": r.choice(["Success", "Failure"])},
    ),
    (
        "dynamodb.amazonaws.com",
        "UpdateItem",
        lambda r, a: {"tableName": "sessions", "key": {"session_id": "s-17"}["session_id"]},
        lambda r, a: None,
    ),
)


def cloudtrail(random: Random) -> dict[str, Any]:
    """A record by the schema of CloudTrail (version 1.11), as its documentation describes it."""
    account = _text(random, string.digits, 12)
    source, name, parameters, elements = random.choice(_EVENTS)
    identity: dict[str, Any] = {
        "type": random.choice(["IAMUser", "AssumedRole", "Root"]),
        "principalId": "AIDA" + _text(random, _UPPER, 17),
        "arn": f"arn:aws:iam::{account}:user/bob",
        "accountId": account,
        "accessKeyId": random.choice(["AKIA", "ASIA"]) + _text(random, _UPPER, 16),
        "userName": "bob",
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "arn": f"arn:aws:iam::{account}:role/deploy"},
            "webIdFederationData": {},
            "attributes": {"creationDate": _time(random), "mfaAuthenticated": "false"},
        },
    }
    return {
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": _time(random),
        "eventSource": source,
        "eventName": name,
        "awsRegion": random.choice(["eu-west-1", "us-east-1", "ap-southeast-2"]),
        "sourceIPAddress": _ip(random),
        "userAgent": "aws-cli/2.15.0 Python/3.11.6 Linux/6.1 exe/x86_64 prompt/off",
        "errorCode": random.choice([None, "AccessDenied"]),
        "errorMessage": f"User: arn:aws:iam::{account}:user/bob is not authorized to perform: "
        f"{source.partition('.')[0]}:{name} on resource: *",
        "requestParameters": parameters(random, account),
        "responseElements": elements(random, account),
        "additionalEventData": {
            "SignatureVersion": "SigV4",
            "CipherSuite": "TLS_AES_128_GCM_SHA256",
            "AuthenticationMethod": "AuthHeader",
            "MFAUsed": "No",
        },
        "requestID": _uuid(random),
        "eventID": _uuid(random),
        "readOnly": True,
        "resources": [
            {
                "accountId": account,
                "type": "AWS::SecretsManager::Secret",
                "ARN": f"arn:aws:secretsmanager:eu-west-1:{account}:secret:db-a1B2c3",
            }
        ],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account,
        "eventCategory": "Management",
        "tlsDetails": {"tlsVersion": "TLSv1.3", "clientProvidedHostHeader": source},
        "sessionCredentialFromConsole": "true",
    }


_WORDS = """
    user account service request order invoice file report login session token secret key password
    changed created failed opened closed moved for with from after before not found ok retry queue
    cache worker job database table index row page report settings profile group role policy
""".split()
_VALUES: tuple[Callable[[Random], Any], ...] = (
    _uuid,
    _time,
    _ip,
    lambda r: _text(r, _HEX, r.choice([7, 8, 12, 16, 32, 40, 64])),
    lambda r: " ".join(r.choices(_WORDS, k=r.randint(2, 9))),
    lambda r: f"{r.choice(_WORDS)}-{r.choice(_WORDS)}-{r.randint(1, 9999)}",
    lambda r: f"{r.choice(_WORDS)}_{r.choice(_WORDS)}.py:{r.randint(1, 900)}",
    lambda r: f"{r.choice(_WORDS)}-db:{r.randint(1000, 65000)}",
    lambda r: f"https://example.com/{r.choice(_WORDS)}/{r.randint(1, 999)}?page={r.randint(1, 9)}",
    lambda r: f"/api/v{r.randint(1, 3)}/{r.choice(_WORDS)}s/{r.randint(1, 10**6)}",
    lambda r: f"{r.choice(_WORDS)}@example.com",
    lambda r: f"+49 {r.randint(150, 179)} {r.randint(10**6, 10**8)}",
    lambda r: _text(r, string.digits, r.choice([5, 8, 10, 12, 13])),
    lambda r: r.randint(0, 10**12 - 1),
    lambda r: r.random(),
    lambda r: f"{r.randint(0, 20)}.{r.randint(0, 20)}.{r.randint(0, 20)}",
    lambda r: f"secretsmanager:{r.choice(['GetSecretValue', 'PutSecretValue', 'ListSecrets'])}",
    lambda r: f"projects/{r.choice(_WORDS)}/secrets/{r.choice(_WORDS)}/versions/{r.randint(1, 9)}",
    lambda r: f"registry.example.com/{r.choice(_WORDS)}:{r.randint(1, 9)}.{r.randint(0, 9)}",
    lambda r: f"blk_-{r.randint(10**17, 9 * 10**18)}",
    lambda r: f"{r.choice(_WORDS)}: {r.choice(_WORDS)} {r.choice(['ok', 'failed', 'is missing'])}",
    lambda r: f"01{_text(r, '0123456789ABCDEFGHJKMNPQRSTVWXYZ', 24)}",
    lambda r: f"00-{_text(r, _HEX, 32)}-{_text(r, _HEX, 16)}-01",
)


def harmless_value(random: Random) -> Any:
    """A value as events have it, under a name that is no secret's."""
    return random.choice(_VALUES)(random)


_LINES = (Path(__file__).parents[1] / "redaction/log_lines.txt").read_text().splitlines()
_PLACE = re.compile(r"<(\w+)>")
_FILLED: dict[str, Callable[[Random], str]] = {
    "ip": _ip,
    "time": _time,
    "word": lambda r: r.choice(_WORDS),
    "n": lambda r: str(r.randint(1, 99_999)),
    "n18": lambda r: str(r.randint(10**17, 9 * 10**18)),
    "base43": lambda r: _text(r, string.ascii_letters, 43),
}


def log_line(random: Random) -> str:
    """A line as ordinary programs log it."""
    line = random.choice(_LINES)
    return _PLACE.sub(lambda place: _FILLED[place[1]](random), line)
