"""Changes of Django's models: what is recorded, when, and what it costs."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from support.postgres_server import Database
from support.requirements import package

package("django")

from support import django_site as site  # noqa: E402 - it needs Django

site.set_up()

import django  # noqa: E402
from django.db import connections, models, transaction  # noqa: E402
from django.db.models import F  # noqa: E402
from support.django_shop.models import Invoice, Label, LoudInvoice, Owner, Reread  # noqa: E402

import audit_emit  # noqa: E402
from audit_emit import bind  # noqa: E402
from audit_emit.errors import ConfigError  # noqa: E402
from audit_emit.integrations.django import track  # noqa: E402


def changes(records: Any, event_type: str = "model.updated") -> list[dict[str, Any]]:
    return [one["fields"]["changes"] for one in records(event_type)]


def made(**values: Any) -> Invoice:
    """An invoice as another process would have made it."""
    row = {"number": "A", "amount": 1, **values}
    Invoice(**row).save_base(raw=True)
    found: Invoice = Invoice.objects.get(number=row["number"])
    return found


def change(number: int) -> dict[str, Any]:
    return {"amount": {"before": number - 1, "after": number}}


@pytest.fixture(autouse=True)
def _tables(records: Any) -> None:
    """Every test has an emitter and empty tables."""
    site.empty()


def test_a_new_row_is_recorded_with_its_values(records: Any) -> None:
    with bind(user_id="u-1"):
        invoice = Invoice.objects.create(number="A", amount=3)
    (record,) = records()
    assert (record["event_type"], record["user_id"]) == ("model.created", "u-1")
    assert record["fields"]["model"] == "django_shop.invoice"
    assert record["fields"]["pk"] == invoice.pk
    assert record["fields"]["changes"]["amount"] == {"after": 3}
    assert record["fields"]["via"] == "save"


def test_a_changed_row_has_before_and_after_of_what_changed(records: Any) -> None:
    invoice = made()
    invoice.amount = 2
    invoice.save()
    assert changes(records)[-1:] == [change(2)]


def test_a_save_that_changes_nothing_is_not_recorded(records: Any) -> None:
    invoice = made()
    count = len(records())
    invoice.save()
    invoice.unwatched = 9
    invoice.save()
    invoice.amount = "1"  # the same to the database
    invoice.save()
    assert len(records()) == count


def test_a_save_takes_one_query(records: Any) -> None:
    invoice = made()
    invoice.amount = 2
    with site.queries() as queries:
        invoice.save()
    assert len(queries) == 1


def test_what_update_fields_leaves_out_is_not_recorded_until_it_is_saved(records: Any) -> None:
    invoice = made()
    invoice.amount, invoice.number = 2, "B"
    invoice.save(update_fields=["amount"])
    invoice.save()
    assert changes(records) == [change(2), {"number": {"before": "A", "after": "B"}}]


def test_a_secret_is_redacted_by_the_name_of_its_field(records: Any) -> None:
    invoice = made(password="open sesame 1")
    invoice.password = "open sesame 2"
    invoice.save()
    invoice.delete()
    assert "open sesame" not in str(records())


def test_a_value_that_is_changed_in_place_is_a_change(records: Any) -> None:
    invoice = made(details={"lines": [1]})
    invoice.details["lines"].append(2)
    invoice.save()
    expected = {"details": {"before": {"lines": [1]}, "after": {"lines": [1, 2]}}}
    assert changes(records) == [expected]


def test_an_expression_is_recorded_as_what_is_known_of_it(records: Any) -> None:
    invoice = made()
    before = invoice.amount
    invoice.amount = F("amount") + 1
    invoice.save()
    (record,) = records("model.updated")
    if django.VERSION >= (6,):  # the database has told it what became of it
        assert "unsure" not in record["fields"]
        assert record["fields"]["changes"]["amount"] == {"before": before, "after": before + 1}
        return
    assert record["fields"]["unsure"] is True
    assert "amount" in record["fields"]["changes"]["amount"]["after"]


def test_nothing_is_recorded_of_a_transaction_that_is_rolled_back(records: Any) -> None:
    invoice = made()
    count = len(records())
    with transaction.atomic():
        invoice.amount = 2
        invoice.save()
        Invoice.objects.create(number="B")
        Invoice.objects.filter(number="B").update(amount=7)
        transaction.set_rollback(True)
    assert len(records()) == count


def test_after_a_savepoint_that_was_rolled_back_the_next_change_is_from_before_it(
    records: Any,
) -> None:
    invoice = made()
    with transaction.atomic():
        with transaction.atomic():
            invoice.amount = 2
            invoice.save()
            transaction.set_rollback(True)
        invoice.save()
    assert changes(records) == [change(2)]


def test_two_saves_in_one_transaction_are_two_steps(records: Any) -> None:
    invoice = made()
    with transaction.atomic():
        for amount in (2, 3):
            invoice.amount = amount
            with transaction.atomic():
                invoice.save()
    assert changes(records) == [change(2), change(3)]


def test_a_callback_of_the_application_that_raises_costs_no_record(records: Any) -> None:
    invoice = made()

    def broken() -> None:
        raise ZeroDivisionError

    def work() -> None:
        with transaction.atomic():
            transaction.on_commit(broken)
            invoice.amount = 2
            invoice.save()

    with pytest.raises(ZeroDivisionError):
        work()
    assert changes(records) == [change(2)]


def test_an_update_of_a_query_is_recorded_row_by_row(records: Any) -> None:
    first, second = made(), made(number="B", amount=5)
    Invoice.objects.order_by("pk").update(amount=2)
    assert [one["fields"]["pk"] for one in records("model.updated")] == [first.pk, second.pk]
    assert changes(records) == [change(2), {"amount": {"before": 5, "after": 2}}]


def test_an_update_with_an_expression_has_the_values_of_the_database(records: Any) -> None:
    made()
    Invoice.objects.update(amount=F("amount") + 1)
    assert changes(records) == [change(2)]


def test_an_update_of_more_rows_than_are_recorded_singly_has_their_number(records: Any) -> None:
    rows = [Invoice(number=str(number)) for number in range(1001)]
    Invoice.objects.bulk_create(rows)
    Invoice.objects.update(amount=2)
    (created,), (updated,) = records("model.created"), records("model.updated")
    assert created["fields"]["rows"] == updated["fields"]["rows"] == 1001
    assert updated["fields"]["changes"] == {"amount": {"after": 2}}


def test_rows_that_are_created_together_are_recorded(records: Any) -> None:
    Invoice.objects.bulk_create([Invoice(number="A"), Invoice(number="B")])
    Invoice.objects.bulk_create([Invoice(number="A")], ignore_conflicts=True)
    unsure = [one["fields"].get("unsure", False) for one in records("model.created")]
    assert unsure == [False, False, True]


def test_rows_that_are_updated_together_are_recorded(records: Any) -> None:
    rows = [made(), made(number="B", amount=1)]
    for row in rows:
        row.amount = 2
    Invoice.objects.bulk_update(rows, ["amount"])
    assert changes(records) == [change(2), change(2)]


def test_a_deleted_row_is_recorded_with_what_it_had(records: Any) -> None:
    made().delete()
    Invoice.objects.bulk_create([Invoice(number="B")])
    Invoice.objects.all().delete()
    first, second = changes(records, "model.deleted")
    assert (first["number"], second["number"]) == ({"before": "A"}, {"before": "B"})


def test_what_a_delete_sets_to_null_is_recorded(records: Any) -> None:
    owner = Owner.objects.create(name="x")
    key = owner.pk
    made(owner=owner)
    owner.delete()
    assert changes(records)[-1] == {"owner": {"before": key, "after": None}}


def test_relations_of_many_to_many_are_recorded_from_both_sides(records: Any) -> None:
    invoice = made()
    one, two = (Label.objects.create(text=text) for text in "ab")
    invoice.labels.add(one, two)
    invoice.labels.remove(one)
    one.invoice_set.add(invoice)
    invoice.labels.clear()
    assert changes(records) == [
        {"labels": {"added": [one.pk, two.pk]}},
        {"labels": {"removed": [one.pk]}},
        {"labels": {"added": [one.pk]}},
        {"labels": {"removed": [one.pk, two.pk]}},
    ]


def test_a_proxy_is_tracked_with_its_model(records: Any) -> None:
    made()
    loud = LoudInvoice.objects.get()
    loud.amount = 2
    loud.save()
    loud.delete()
    assert changes(records) == [change(2)]
    assert len(records("model.deleted")) == 1


def test_a_row_that_is_saved_without_having_been_read_has_unknown_values(records: Any) -> None:
    invoice = made()
    Invoice(pk=invoice.pk, number="A", amount=2).save()
    assert changes(records)[0]["amount"] == {"before": "?", "after": 2}


def test_a_deferred_field_that_is_read_later_is_known(records: Any) -> None:
    made()
    invoice = Invoice.objects.only("number").get()
    assert invoice.amount == 1
    invoice.amount = 2
    invoice.save()
    assert changes(records) == [change(2)]


def test_a_row_that_is_read_again_has_the_new_values(records: Any) -> None:
    invoice = made()
    Invoice.objects.update(amount=2)
    invoice.refresh_from_db()
    invoice.amount = 3
    invoice.save()
    assert changes(records) == [change(2), change(3)]


def test_what_the_database_has_is_read_before_a_save_when_asked(records: Any) -> None:
    row = Reread.objects.create(amount=1)
    Reread.objects.update(amount=2)
    row.amount = 3
    row.save()
    assert changes(records) == [change(2), change(3)]


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_of_a_row_knows_what_it_was(records: Any, copied: Any) -> None:
    invoice = made()
    with transaction.atomic():
        invoice.amount = 2
        invoice.save()
        copied(invoice)
    other = copied(invoice)
    other.amount = 3
    other.save()
    assert changes(records) == [change(2), change(3)]


def test_the_methods_that_are_awaited_are_recorded(records: Any) -> None:
    async def drive() -> None:
        invoice = await Invoice.objects.acreate(number="A", amount=1)
        invoice.amount = 2
        await invoice.asave()
        await Invoice.objects.aupdate(amount=3)
        await Invoice.objects.abulk_create([Invoice(number="B")])
        await invoice.adelete()

    with bind(user_id="u-1"):
        asyncio.run(drive())
    assert changes(records) == [change(2), change(3)]
    assert len(records("model.created")) == 2
    assert len(records("model.deleted")) == 1
    assert {one["user_id"] for one in records()} == {"u-1"}


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (Invoice, {}),
        (LoudInvoice, {}),
        (Owner, {"fields": ["nam"]}),
        (Owner, {"before": "guessed"}),
    ],
)
def test_what_cannot_be_tracked_is_refused(
    model: type[models.Model], options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        track(model, **options)


@pytest.fixture
def postgres(audited: Database) -> Iterator[Any]:
    """Django's connection to a database that has the chain, too."""
    made = {**connections["default"].settings_dict, "ENGINE": "django.db.backends.postgresql"}
    made |= {"NAME": audited.name, "USER": "the_writer", "HOST": "127.0.0.1"}
    made |= {"PORT": str(audited.server.port), "OPTIONS": {}}
    audited.run("GRANT CREATE ON SCHEMA public TO the_writer")
    audit_emit.configure(
        service="shop", store=audited.as_user("the_writer"), jsonl="off", stdout=False
    )
    connections.settings["postgres"] = made
    connection = connections["postgres"]
    with connection.schema_editor() as editor:
        editor.create_model(Reread)
    yield connection
    connection.close()
    del connections["postgres"], connections.settings["postgres"]
    audit_emit.configure(jsonl="off", stdout=False)


@pytest.mark.parametrize("commits", [True, False])
def test_where_the_chain_is_in_the_same_database_the_record_is_in_the_transaction(
    postgres: Any, audited: Database, commits: bool
) -> None:
    waiting = "SELECT count(*) FROM audit_emit.outbox WHERE unlinked LIKE '%model.created%'"
    with transaction.atomic(using="postgres"):
        Reread.objects.using("postgres").create(amount=1)
        assert audited.run(waiting) == [(0,)]
        transaction.set_rollback(not commits, using="postgres")
    assert audited.run(waiting) == [(int(commits),)]
