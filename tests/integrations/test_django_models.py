"""Changes of Django's models that inherit, are related by a model, or are in several databases."""

from __future__ import annotations

from typing import Any

import pytest
from support.requirements import package

package("django")

from support import django_site as site  # noqa: E402 - it needs Django

site.set_up()

from django.db import transaction  # noqa: E402
from support.django_shop.models import Contract, Invoice, Lease, Owner, Party  # noqa: E402


@pytest.fixture(autouse=True)
def _tables(records: Any) -> None:
    """Every test has an emitter and empty tables."""
    site.empty()


def seen(records: Any) -> list[tuple[str, str, Any]]:
    """Of each change: its type, its model, what has changed."""
    return [
        (one["event_type"][6:], one["fields"]["model"][12:], one["fields"]["changes"])
        for one in records()
    ]


def change(before: Any, after: Any) -> dict[str, Any]:
    return {"before": before, "after": after}


# -- databases and transactions ----------------------------------------------------------------


def test_each_database_records_when_its_own_transaction_commits(records: Any) -> None:
    with transaction.atomic(using="other"):
        Invoice.objects.using("other").create(number="there")
        with transaction.atomic():
            Invoice.objects.create(number="here")
        numbers = [one["fields"]["changes"]["number"]["after"] for one in records()]
        assert numbers == ["here"]
    assert [one["fields"]["changes"]["number"]["after"] for one in records()] == ["here", "there"]


def test_what_one_database_rolls_back_is_not_recorded_with_the_commit_of_another(
    records: Any,
) -> None:
    with transaction.atomic():
        with transaction.atomic(using="other"):
            Invoice.objects.using("other").create(number="there")
            transaction.set_rollback(True, using="other")
        Invoice.objects.create(number="here")
    assert [one["fields"]["changes"]["number"]["after"] for one in records()] == ["here"]


def test_rows_of_another_database_are_compared_with_what_they_had_there(records: Any) -> None:
    for using, amount in (("default", 1), ("other", 5)):
        Invoice.objects.using(using).create(number="A", amount=amount)
    count = len(records())
    Invoice.objects.using("other").update(amount=6)
    row = Invoice.objects.using("other").get()
    row.amount = 7
    row.save()
    row.delete()
    assert seen(records)[count:-1] == [
        ("updated", "invoice", {"amount": change(5, 6)}),
        ("updated", "invoice", {"amount": change(6, 7)}),
    ]
    assert Invoice.objects.get().amount == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_durable_transaction_records_what_it_has_committed(records: Any, fails: bool) -> None:
    with transaction.atomic(durable=True):
        Invoice.objects.create(number="A")
        assert records() == []
        transaction.set_rollback(fails)
    assert len(records("model.created")) == int(not fails)


# -- inheritance -------------------------------------------------------------------------------


def test_the_fields_of_an_abstract_model_are_those_of_what_is_below_it(records: Any) -> None:
    contract = Contract.objects.create(title="old")
    contract.title = "new"
    contract.save()
    Contract.objects.update(title="newer")
    assert seen(records) == [
        ("created", "contract", {"title": {"after": "old"}, "amount": {"after": 0}}),
        ("updated", "contract", {"title": change("old", "new")}),
        ("updated", "contract", {"title": change("new", "newer")}),
    ]


def test_a_row_of_two_tables_is_recorded_with_the_fields_of_both(records: Any) -> None:
    Lease.objects.create(title="flat", amount=900, months=12)
    lease = Lease.objects.get()
    lease.amount, lease.months = 950, 24
    lease.save()
    Lease.objects.update(amount=990, months=36)
    created, saved, updated = seen(records)
    assert created[:2] == ("created", "lease")
    assert created[2].items() >= {"amount": {"after": 900}, "months": {"after": 12}}.items()
    assert saved == ("updated", "lease", {"amount": change(900, 950), "months": change(12, 24)})
    assert updated == ("updated", "lease", {"amount": change(950, 990), "months": change(24, 36)})


def test_a_deleted_row_of_two_tables_is_deleted_from_both(records: Any) -> None:
    Lease.objects.create(title="flat", amount=900)
    Lease.objects.all().delete()
    kinds = {(kind, model) for kind, model, _ in seen(records)[1:]}
    assert kinds == {("deleted", "lease"), ("deleted", "contract")}


# -- a model between two others ----------------------------------------------------------------


def test_relations_through_a_model_are_recorded_from_both_sides(records: Any) -> None:
    contract = Contract.objects.create(title="sale")
    ann, bob = (Owner.objects.create(name=name) for name in ("a", "b"))
    contract.parties.add(ann, bob, through_defaults={"role": "buyer"})
    contract.parties.remove(bob)
    bob.contract_set.add(contract)
    contract.parties.clear()
    assert [changes["parties"] for _, _, changes in seen(records)[1:]] == [
        {"added": [ann.pk, bob.pk]},
        {"removed": [bob.pk]},
        {"added": [bob.pk]},
        {"removed": [ann.pk, bob.pk]},
    ]


def test_a_row_between_two_others_that_is_saved_itself_is_not_seen_with_them(records: Any) -> None:
    contract = Contract.objects.create(title="sale")
    Party.objects.create(contract=contract, owner=Owner.objects.create(name="a"))
    assert [kind for kind, _, _ in seen(records)] == ["created"]
