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
