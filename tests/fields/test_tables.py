"""Tables are held back by the names of their columns, and only their first rows are read.

The classes stand for those of pandas, Arrow and numpy, of which they have what is read.
"""

from __future__ import annotations

from typing import Any

from audit_emit._fields.normaliser import Normaliser
from audit_emit._redaction.redactor import Redactor

HELD = "[redacted]"


def shown(value: object) -> Any:
    return Normaliser(Redactor()).full("a.b", {"x": value}).value


class Index(list[Any]):
    def tolist(self) -> list[Any]:
        return list(self)


class Series:
    __module__ = "pandas.core.series"

    def __init__(self, values: list[Any], name: Any, index: list[Any] | None = None) -> None:
        self._values, self.name = values, name
        self.index = Index(range(len(values)) if index is None else index)

    def head(self, rows: int) -> Series:
        return Series(self._values[:rows], self.name, self.index[:rows])

    def to_list(self) -> list[Any]:
        return self._values

    def __len__(self) -> int:
        return len(self._values)


class DataFrame:
    __module__ = "pandas.core.frame"

    def __init__(self, columns: dict[Any, list[Any]], index: list[Any] | None = None) -> None:
        self._columns = columns
        self.columns = list(columns)
        self.index = Index(range(len(self)) if index is None else index)

    def head(self, rows: int) -> DataFrame:
        kept = {name: values[:rows] for name, values in self._columns.items()}
        return DataFrame(kept, self.index[:rows])

    def __getitem__(self, name: Any) -> Series:
        return Series(self._columns[name], name)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def __str__(self) -> str:
        return "never asked: hunter2"


class Table:
    __module__ = "pyarrow.lib"

    def __init__(self, **columns: list[Any]) -> None:
        self._columns = columns
        self.schema = type("Schema", (), {"names": list(columns)})
        self.num_columns = len(columns)
        self.num_rows = len(next(iter(columns.values())))

    def slice(self, start: int, rows: int) -> Table:
        return Table(**{n: values[start : start + rows] for n, values in self._columns.items()})

    def column(self, at: int) -> Any:
        values = list(self._columns.values())[at]
        return type("Column", (), {"to_pylist": lambda _: values})()


class NaTType:
    __module__ = "pandas._libs.tslibs.nattype"


def test_a_column_with_the_name_of_a_secret_is_held_back() -> None:
    frame = DataFrame({"user": ["bob", "al"], "password": ["hunter2", "hunter3"]})
    assert shown(frame) == {"x": {"user": ["bob", "al"], "password": HELD}}
    assert shown(Table(user=["bob"], api_key=["hunter2"])) == {
        "x": {"user": ["bob"], "api_key": HELD}
    }
    assert shown(Series(["hunter2"], "password")) == {"x": {"password": HELD}}


def test_a_row_is_held_back_by_the_names_of_its_values() -> None:
    row = Series(["bob", "hunter2"], 0, index=["user", "password"])
    assert shown(row) == {"x": {"0": {"user": "bob", "password": HELD}}}
    turned = DataFrame({0: ["bob", "hunter2"]}, index=["user", "password"])
    assert shown(turned) == {"x": {"0": {"user": "bob", "password": HELD}}}


def test_only_the_first_rows_are_read_and_the_record_says_so() -> None:
    made = shown(DataFrame({"n": list(range(1000))}))
    assert made == {"x": {"n": list(range(32))}, "_cut": ["x: 1000 rows, 32 kept"]}


def test_a_series_without_a_name_is_its_values() -> None:
    assert shown(Series([1, 2], None)) == {"x": {"values": [1, 2]}}


def test_no_time_is_nothing() -> None:
    assert shown(NaTType()) == {"x": None}


def test_a_class_of_another_package_is_no_table() -> None:
    other = type("DataFrame", (DataFrame,), {"__module__": "somewhere"})
    lazy = type("LazyFrame", (), {"__module__": "polars.lazyframe.frame"})
    assert "hunter2" not in str(shown(other({"password": ["hunter2"]})))
    assert shown(lazy()) == {"x": "<polars.lazyframe.frame.LazyFrame>"}
