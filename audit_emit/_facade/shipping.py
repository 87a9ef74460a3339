"""Copying chains of files into PostgreSQL, for the command of that name."""

from __future__ import annotations

from audit_emit._shipping.to_postgres import Difference, Shipped, Shipper

__all__ = [
    "Difference",
    "Shipped",
    "Shipper",
]
