"""Addresses of databases: what may be shown of one, and what is refused because it might show."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_emit._settings.address import Address
from audit_emit.errors import ConfigError

PLACE = "db.internal:5432/shop"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://shop@db/shop", "postgresql://shop@db/shop"),
        ("postgres://shop:s3cret@db:5432/shop", "postgresql://shop@db:5432/shop"),
        ("postgresql://shop:s%40%2F%23%3F%25@db/shop", "postgresql://shop@db/shop"),
        ("postgresql://shop:a:b@[::1]:5432/shop", "postgresql://shop@[::1]:5432/shop"),
        ("postgresql://shop@db1:5432,db2:5433/shop", "postgresql://shop@db1:5432,db2:5433/shop"),
        ("postgresql://%2Fvar%2Frun/shop", "postgresql://%2Fvar%2Frun/shop"),
        ("postgresql:///shop?host=/var/run&password=s3cret", "postgresql:///shop?host=/var/run"),
        ("postgresql://?service=audit", "postgresql://?service=audit"),
        ("postgresql://db/shop?sslpassword=s3cret&sslmode=require",
         "postgresql://db/shop?sslmode=require"),
        ("postgresql://?user=me@tenant&host=db", "postgresql://?user=me%40tenant&host=db"),
        ("postgresql://", "postgresql://"),
    ],
)  # fmt: skip
def test_what_is_shown_of_an_address_has_no_password(text: str, shown: str) -> None:
    address = Address(text)
    assert address.shown == str(address) == shown
    assert repr(address) == f"Address({shown!r})"
    assert address.conninfo() == text


@pytest.mark.parametrize("character", "@/?#")
@pytest.mark.parametrize("before", ["hun", "123", ""])
def test_a_password_that_is_not_escaped_is_refused_and_not_repeated(
    character: str, before: str
) -> None:
    for text in (
        f"postgresql://shop:{before}{character}ter2@{PLACE}",
        f"postgresql://shop:{before}{character}ter2=5@{PLACE}?sslmode=require",
        f"postgresql://{before or 'x'}{character}ter2@{PLACE}",
    ):
        for make in (Address, Address.chosen):
            with pytest.raises(ConfigError) as caught:
                make(text)
            assert "ter2" not in str(caught.value)
            assert "%40" in str(caught.value) or "chooses" in str(caught.value) or (
                "followed by service, tenant, chain" in str(caught.value)
            )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("postgresql://shop:hunter2", "a port is a number"),
        ("postgresql://shop@db:hunter2/shop", "a port is a number"),
        ("postgresql://shop:hun%zzter2@db/shop", "%25"),
        ("postgresql://shop:hunter2%@db/shop", "%25"),
        ("postgresql://shop:hunter2%00@db/shop", "%25"),
        ("postgresql://shop@db/shop#service=shop", "commands that read"),
        ("postgresql://shop:hunter2@db/shop/x", "%2F"),
        ("host=db password=hunter2", "such as postgresql://"),
        ("postgresql://shop:hunter2@db/shop\n", "on one line"),
        ("postgresql+file://relative", "absolute path"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_to_do(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Address(text)
    assert why in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.setting == "store"


def test_an_address_in_a_file_is_checked_like_one_and_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "address"
    file.write_text("postgresql://shop:hun/ter2@db/shop\n")
    with pytest.raises(ConfigError, match="%2F"):
        Address(f"postgresql+file://{file}")
    file.write_text("postgresql://shop:hunter2@db/shop\nanother line\n")
    address = Address(f"postgresql+file://{file}")
    assert address.shown == f"postgresql+file://{file}"
    assert address.conninfo() == "postgresql://shop:hunter2@db/shop"
    file.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        address.conninfo()


def test_a_choice_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="not servise"):
        Address.chosen("postgresql://shop@db/shop#servise=shop")
