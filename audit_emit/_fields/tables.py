"""Tables with named columns: data frames, Arrow tables, structured arrays; the scalars in them.

Their texts show values apart from the names of the columns, and cut both. So the first
rows are read, column by column. What would have to be evaluated first (a lazy frame, a frame of
Dask or Spark) is not read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audit_emit._fields.values import MAX_ITEMS, Again, Handler, Members, known_text
from audit_emit._runtime import foreign as _foreign

__all__ = ["table_reader"]

_MAX_ROWS = 32


def table_reader(
    bases: tuple[type, ...], is_from: Callable[[tuple[type, ...], tuple[str, ...]], bool]
) -> Handler | None:
    """The handler of a type of table; ``None`` for any other one.

    Args:
        bases: the classes of the type.
        is_from: whether one of some classes is defined in one of some packages.
    """
    for base in bases:
        reader = _READERS.get(base.__name__)
        if reader is not None and is_from((base,), reader[0]):
            read = reader[1]
            return lambda value: _foreign.call(read, value)
    return None


def _frame(value: Any) -> Members:
    names = list(value.columns[:MAX_ITEMS])
    head = value.head(_MAX_ROWS)
    labels = _labels(head)
    # By place: two columns may have one name.
    columns = [
        _values(head.iloc[:, at] if hasattr(head, "iloc") else head[name], labels)
        for at, name in enumerate(names)
    ]
    return _columns(names, columns, len(value.columns), len(value))


def _series(value: Any) -> Members:
    name, head = value.name, value.head(_MAX_ROWS)
    name = "values" if name is None or name == "" else name
    return _columns([name], [_values(head, _labels(head))], 1, len(value))


def _labels(head: Any) -> list[Any] | None:
    """The names of rows, where they have some: a row of a frame is a series of named values."""
    index: Any = getattr(head, "index", None)
    labels = index.tolist() if hasattr(index, "tolist") else []
    return labels if any(type(label) is str for label in labels) else None


def _values(head: Any, labels: list[Any] | None) -> Any:
    values = head.to_list()
    if labels is None or len(labels) != len(values):
        return values
    return dict(zip(labels, values, strict=True))


def _arrow(value: Any) -> Members:
    names = list(value.schema.names[:MAX_ITEMS])
    head = value.slice(0, _MAX_ROWS)
    columns = [head.column(at).to_pylist() for at in range(len(names))]
    return _columns(names, columns, value.num_columns, value.num_rows)


def _array(value: Any) -> Any:
    names = value.dtype.names
    if names is None:
        return known_text(value)
    rows = value.reshape(-1)
    columns = [rows[name][:_MAX_ROWS].tolist() for name in names[:MAX_ITEMS]]
    return _columns(list(names[:MAX_ITEMS]), columns, len(names), len(rows))


def _columns(names: list[Any], columns: list[Any], total: int, rows: int) -> Members:
    note = f"{rows} rows, {_MAX_ROWS} kept" if rows > _MAX_ROWS else ""
    return Members("dict", list(zip(names, columns, strict=True)), total, note=note)


_OF_FRAMES = ("pandas", "polars", "geopandas", "cudf", "modin")
_READERS: dict[str, tuple[tuple[str, ...], Callable[[Any], Any]]] = {
    "DataFrame": (_OF_FRAMES, _frame),
    "Series": (_OF_FRAMES, _series),
    "NaTType": (("pandas",), lambda _: Again(None)),
    "Table": (("pyarrow",), _arrow),
    "RecordBatch": (("pyarrow",), _arrow),
    "ndarray": (("numpy",), _array),
    "void": (("numpy",), _array),
    "generic": (("numpy",), lambda value: Again(value.item())),
}
"""By the name of a class: the packages that define it, and what reads it."""
