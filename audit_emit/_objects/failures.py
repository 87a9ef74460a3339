"""What went wrong with an object store: one word for programs, and a sentence that says what to do.

A store's own message is never repeated. It may hold anything, and some stores put the request into
it; its code is enough.
"""

from __future__ import annotations

from typing import Any

from audit_emit._runtime import words
from audit_emit.errors import ObjectStoreError

_OTHER_BYTES = "the bytes that arrived are not those that were sent"
_CODES = {
    "PreconditionFailed": ("exists", "there is an object under this key"),
    "412": ("exists", "there is an object under this key"),
    "ConditionalRequestConflict": ("conflict", "another request for this key is under way"),
    "OperationAborted": ("conflict", "another request for this key is under way"),
    "409": ("conflict", "another request for this key is under way"),
    "NoSuchKey": ("not-found", "there is no such object"),
    "NoSuchVersion": ("not-found", "there is no such version of the object"),
    "404": ("not-found", "there is no such object"),
    "NoSuchBucket": ("no-bucket", "there is no such bucket; create it (docs/archive.md)"),
    "AccessDenied": ("denied", "access denied: the policy lacks this action, or a lock forbids it"),
    "AllAccessDisabled": ("denied", "access denied"),
    "403": ("denied", "access denied: look at the policy, and at the clock of this host"),
    "ExpiredToken": ("expired", "the credentials have expired; renew them"),
    "ExpiredTokenException": ("expired", "the credentials have expired; renew them"),
    "TokenRefreshRequired": ("expired", "the credentials have expired; renew them"),
    "InvalidAccessKeyId": ("credentials", "the store does not know the access key"),
    "InvalidToken": ("credentials", "the store does not take the session token"),
    "SignatureDoesNotMatch": (
        "credentials",
        "the secret key is wrong, or a proxy changes it",
    ),
    "RequestTimeTooSkewed": ("clock", "the clock of this host is wrong by minutes; set it"),
    "BadDigest": ("checksum", _OTHER_BYTES),
    "InvalidDigest": ("checksum", "the store does not take this checksum"),
    "XAmzContentChecksumMismatch": (
        "checksum",
        _OTHER_BYTES,
    ),
    "XAmzContentSHA256Mismatch": (
        "checksum",
        _OTHER_BYTES,
    ),
    "ObjectLockConfigurationNotFoundError": ("no-lock", "the bucket has no Object Lock"),
    "InvalidBucketState": ("no-lock", "the bucket has no Object Lock; it must be made with it"),
    "NoSuchObjectLockConfiguration": ("no-lock", "the object has no lock"),
    "MissingContentMD5": ("checksum", "the store demands a checksum: AUDIT_EMIT_ARCHIVE_CHECKSUM"),
    "NotImplemented": ("not-implemented", "the store cannot do this; see docs/archive.md"),
    "501": ("not-implemented", "the store cannot do this; see docs/archive.md"),
    "MethodNotAllowed": ("denied", "the object was deleted, or the store does not allow this"),
    "PermanentRedirect": ("region", "the bucket is in another region: AUDIT_EMIT_ARCHIVE_REGION"),
    "AuthorizationHeaderMalformed": (
        "region",
        "the bucket is in another region: AUDIT_EMIT_ARCHIVE_REGION",
    ),
    "SlowDown": ("busy", "the store asks for less; try again later"),
    "503": ("busy", "the store asks for less; try again later"),
    "ServiceUnavailable": ("busy", "the store asks for less; try again later"),
    "InternalError": ("failed", "the store failed; try again later"),
    "500": ("failed", "the store failed; try again later"),
    "RequestTimeout": ("timeout", "no complete request arrived in time"),
}
_NOT_REACHED = {"EndpointConnectionError", "ConnectTimeoutError"}
_LOOK_AT = "is AUDIT_EMIT_ARCHIVE_ENDPOINT right, and may this host connect to it?"
_KMS = "kms"
_UNKNOWN = {"unreachable", "timeout", "failed", "busy", "cut", "answer"}
"""After these, nobody knows whether a request was carried out."""

_CLASSES = {
    "NoCredentialsError": ("credentials", "boto3 finds no credentials (docs/archive.md)"),
    "PartialCredentialsError": ("credentials", "boto3 finds only a part of the credentials"),
    "CredentialRetrievalError": ("credentials", "boto3 cannot get the credentials"),
    "TokenRetrievalError": ("expired", "the credentials have expired; renew them"),
    "UnauthorizedSSOTokenError": ("expired", "the credentials have expired; renew them"),
    "ProfileNotFound": ("credentials", "AWS_PROFILE names no profile that boto3 finds"),
    "ConfigParseError": ("credentials", "boto3 cannot read its configuration file"),
    "NoRegionError": ("region", "no region is set: AUDIT_EMIT_ARCHIVE_REGION"),
    "EndpointConnectionError": ("unreachable", "the store cannot be reached"),
    "ConnectionClosedError": ("unreachable", "the store closed the connection"),
    "SSLError": ("unreachable", "the certificate of the store is not trusted (AWS_CA_BUNDLE)"),
    "ProxyConnectionError": ("unreachable", "the proxy cannot be reached"),
    "ConnectTimeoutError": ("timeout", "the store cannot be reached in time"),
    "ReadTimeoutError": ("timeout", "no answer in time"),
    "ResponseStreamingError": ("cut", "the answer ended too early"),
    "IncompleteReadError": ("cut", "the answer ended too early"),
    "FlexibleChecksumError": ("checksum", _OTHER_BYTES),
}


NOT_UNDERSTOOD = (ValueError, LookupError, TypeError, AttributeError)
"""What is raised, in boto3 and here, by a member of an answer that is not what it should be."""


def failure_of(
    error: Any, operation: str, what: str, *, owner: str = "", at: str = ""
) -> ObjectStoreError:
    """The error of ours for one of boto3, botocore or urllib3.

    Args:
        operation: of S3, such as ``put_object``.
        what: the address of the object or of the bucket.
        owner: of the bucket, as the request said; a store that has another one denies access.
        at: the address of the store, without a bucket.
    """
    answer = getattr(error, "response", None) or {}
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if _KMS in code.lower():
        reason, why = "kms", "the store cannot use the key of its key service"
    elif code in _CODES:
        reason, why = _CODES[code]
    elif code:
        reason, why = _CODES.get(str(status), ("refused", "the store refused it"))
    elif isinstance(error, NOT_UNDERSTOOD):
        reason, why = "answer", "the answer cannot be understood; is it a store that speaks S3?"
    else:
        reason, why = words_of(error)
        if at and type(error).__name__ in _NOT_REACHED:
            why = f"the store at {at} cannot be reached: {words.words_of(error)}; {_LOOK_AT}"
    if reason == "denied" and owner:
        why += f"; or the bucket is not of account {owner} (AUDIT_EMIT_ARCHIVE_OWNER)"
    shown = code if code.isascii() and code.isalnum() and len(code) < 64 else ""
    named = f" ({operation}: {shown})" if shown else f" ({operation})"
    return ObjectStoreError(reason, f"{what}: {why}{named}", unknown=reason in _UNKNOWN)


def words_of(error: BaseException) -> tuple[str, str]:
    """A word for programs and a sentence for people, for an exception by its class."""
    for kind in type(error).__mro__:
        if kind.__name__ in _CLASSES:
            return _CLASSES[kind.__name__]
    return "unreachable", f"the request failed: {type(error).__name__}"
