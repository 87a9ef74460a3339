"""The manifests at an address, by chain, and errors in their sequence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import parse_qsl

from audit_emit._format.manifest import Manifest, is_manifest
from audit_emit._objects.bucket import Bucket
from audit_emit._objects.first import first_versions
from audit_emit._settings.archive import ArchiveSettings
from audit_emit.errors import ConfigError, ObjectStoreError

CHOICES = ("service", "chain")


class Cold(NamedTuple):
    """What an archive has of one chain.

    Attributes:
        settings: of the archive.
        chain: its id.
        manifests: in the order of their records.
        wrong: keys of objects that are no manifests, or not in their place, and why.
    """

    settings: ArchiveSettings
    chain: str
    manifests: list[Manifest]
    wrong: list[tuple[str, str]]


def chosen(address: str) -> tuple[str, dict[str, str]]:
    """An address without the part after ``#``, and the choices in that part.

    Raises:
        ConfigError: it chooses by something else than ``service`` and ``chain``.
    """
    place, _, fragment = address.partition("#")
    found = dict(parse_qsl(fragment, keep_blank_values=True))
    if set(found) - set(CHOICES):
        raise ConfigError("archive", f"# is followed by {' or '.join(CHOICES)}")
    return place, found


def cold_logs(
    bucket: Bucket, wanted: dict[str, str], chains: Collection[str] | None = None
) -> list[Cold]:
    """The archived logs, chain by chain, from one listing of all names.

    Args:
        wanted: ``service`` and ``chain`` that are asked for; the others are left out.
        chains: that are asked for; ``None`` for all.

    Raises:
        ObjectStoreError: the store gives no answer.
    """
    found: dict[str, Cold] = {}
    for key, version in sorted(first_versions(bucket, is_manifest).items()):
        *_, service, chain, _ = key.split("/")
        if wanted.get("service", service) != service or wanted.get("chain", chain) != chain:
            continue
        if chains is not None and chain not in chains:
            continue
        cold = found.setdefault(chain, Cold(bucket.settings, chain, [], []))
        try:
            manifest = Manifest.from_bytes(bucket.small(key, version), key)
        except ValueError as error:
            cold.wrong.append((key, str(error)))
        except ObjectStoreError as error:
            if error.reason not in {"not-found", "too-long"}:
                raise
            cold.wrong.append((key, "it cannot be read"))
        else:
            cold.manifests.append(manifest)
    for cold in found.values():
        cold.manifests.sort(key=lambda one: one.place)
        cold.wrong.extend(links(cold.manifests))
    return list(found.values())


def links(manifests: Iterable[Manifest]) -> Iterator[tuple[str, str]]:
    """Errors in the sequence of manifests; none if each continues the one before it.

    Returns:
        The key of each that does not follow the one before it, and why.
    """
    before: Manifest | None = None
    for one in manifests:
        if before is None:
            if one.previous:
                yield one.key, "the manifests before it are gone"
        elif one.previous != before.digest():
            yield one.key, "it does not follow the manifest before it"
        elif (one.first_seq, one.prev_hash) != (before.last_seq + 1, before.last_hash):
            yield one.key, f"its records do not follow record {before.last_seq}"
        before = one
