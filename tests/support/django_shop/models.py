"""Models for the tests of tracking."""

from django.db import models


class Owner(models.Model):
    name = models.CharField(max_length=50)


class Label(models.Model):
    text = models.CharField(max_length=50)


class Invoice(models.Model):
    number = models.CharField(max_length=50, unique=True)
    amount = models.IntegerField(default=0)
    password = models.CharField(max_length=50, default="")
    details = models.JSONField(default=dict)
    unwatched = models.IntegerField(default=0)
    owner = models.ForeignKey(Owner, null=True, on_delete=models.SET_NULL)
    labels = models.ManyToManyField(Label)


class LoudInvoice(Invoice):
    class Meta:
        proxy = True


class Reread(models.Model):
    amount = models.IntegerField(default=0)


class Document(models.Model):
    """No table of its own: what is below it has its fields."""

    title = models.CharField(max_length=50, default="")

    class Meta:
        abstract = True


class Contract(Document):
    amount = models.IntegerField(default=0)
    parties = models.ManyToManyField(Owner, through="Party")


class Party(models.Model):
    """A row between two others that says something itself."""

    contract = models.ForeignKey(Contract, on_delete=models.CASCADE)
    owner = models.ForeignKey(Owner, on_delete=models.CASCADE)
    role = models.CharField(max_length=50, default="")


class Lease(Contract):
    """Has a table for what it adds to a contract."""

    months = models.IntegerField(default=0)
