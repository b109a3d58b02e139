"""Statements that are compiled once, for the paths that every request takes.

Written with SQLAlchemy's expressions like any other, so that tables and types are said once. What
SQLAlchemy does anew for each execution (build the expression, find its compiled form, wrap the
rows) costs ten times what SQLite needs for a look-up by key; here it is done at the first.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

from sqlalchemy import BindParameter, Delete, Insert, Select, Update, bindparam
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.exc import DBAPIError, MultipleResultsFound, NoResultFound, StatementError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Values = Mapping[str, Any]
Processor = Callable[[Any], Any]

_DIALECT: Final = sqlite_dialect()


def param(name: str) -> BindParameter[Any]:
    """A value that each execution gives under this name."""
    return bindparam(name, None, required=False)


class _Place(NamedTuple):
    """One place in the statement: whose value stands there, or which; and how it is written."""

    name: str | None
    fixed: Any
    write: Processor | None


class Result:
    """The rows of one execution, all of them read, and how many it changed."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def all(self) -> list[Any]:
        """Every row."""
        return self._rows

    def first(self) -> Any | None:
        """The first row, if there is one."""
        return self._rows[0] if self._rows else None

    def one_or_none(self) -> Any | None:
        """The only row, if there is one."""
        if len(self._rows) > 1:
            raise MultipleResultsFound("more than one row")
        return self._rows[0] if self._rows else None

    def one(self) -> Any:
        """The only row."""
        found = self.one_or_none()
        if found is None:
            raise NoResultFound("no row")
        return found

    def scalars(self) -> list[Any]:
        """The first column of every row."""
        return [row[0] for row in self._rows]

    def scalar_one_or_none(self) -> Any | None:
        """The first column of the only row, if there is one."""
        found = self.one_or_none()
        return None if found is None else found[0]

    def scalar_one(self) -> Any:
        """The first column of the only row."""
        return self.one()[0]


class Prepared:
    """A statement, how its values are written and how its rows are read.

    Args:
        statement: With `param` where each execution says something else; everything else in it is
            fixed, lists (``IN``) too.
        columns: Of an INSERT or UPDATE: those whose values each execution gives, by their names.
    """

    def __init__(self, statement: Select[Any] | Insert | Update | Delete, *columns: str) -> None:
        self._statement = statement
        self._columns = list(columns) or None

    @cached_property
    def _compiled(self) -> tuple[str, tuple[_Place, ...]]:
        compiled = self._statement.compile(dialect=_DIALECT, column_keys=self._columns)
        assert isinstance(compiled, SQLCompiler)
        if compiled.post_compile_params:
            compiled = self._statement.compile(
                dialect=_DIALECT,
                column_keys=self._columns,
                compile_kwargs={"render_postcompile": True},
            )
            assert isinstance(compiled, SQLCompiler)
        places = []
        for name in compiled.positiontup or ():
            bind, value = compiled.binds.get(name), compiled.params.get(name)
            write = None if bind is None else _writer(bind.type)
            if bind is not None and not bind.unique and (bind.required or value is None):
                places.append(_Place(name, None, write))
            else:
                places.append(_Place(None, value if write is None else write(value), None))
        return compiled.string, tuple(places)

    @cached_property
    def _read(self) -> Callable[[Sequence[Any]], Any] | None:
        """What makes a row of what the driver gives; None where there are no rows."""
        columns = list(self._statement.exported_columns)
        if not columns:
            return None
        # No class can have fields by any name: those that cannot be one are read by their place.
        row = namedtuple("Row", [str(one.key) for one in columns], rename=True)  # type: ignore[misc]  # noqa: PYI024
        readers = [_reader(one.type) for one in columns]
        if not any(readers):
            return row._make

        def read(values: Sequence[Any]) -> Any:
            return row._make(
                [
                    value if reader is None else reader(value)
                    for value, reader in zip(values, readers, strict=True)
                ]
            )

        return read

    def run(self, driver: sqlite3.Connection, values: Values | list[Values]) -> Result:
        """Execute it; with a list of values, once for each.

        Raises:
            StatementError: A value is missing or cannot be written.
            DBAPIError: The store refuses.
        """
        sql, places = self._compiled
        if isinstance(values, list):
            every = [_written(sql, places, one) for one in values]
            try:
                cursor = driver.executemany(sql, every)
            except sqlite3.Error as error:
                raise _error(sql, every, error) from error
            return Result([], cursor.rowcount)
        written = _written(sql, places, values)
        read = self._read
        try:
            cursor = driver.execute(sql, written)
            rows = [] if read is None else [read(row) for row in cursor]
        except sqlite3.Error as error:
            raise _error(sql, written, error) from error
        return Result(rows, cursor.rowcount)


def _written(sql: str, places: Sequence[_Place], values: Values) -> list[Any]:
    try:
        return [
            fixed if name is None else (values[name] if write is None else write(values[name]))
            for name, fixed, write in places
        ]
    except KeyError as error:
        raise StatementError(f"no value is given for {error}", sql, None, error) from None
    except Exception as error:
        raise StatementError(str(error), sql, None, error) from error


def _error(sql: str, values: Any, error: sqlite3.Error) -> DBAPIError:
    made = DBAPIError.instance(sql, values, error, sqlite3.Error, hide_parameters=True)
    assert isinstance(made, DBAPIError)
    return made


def _writer(type_: TypeEngine[Any]) -> Processor | None:
    return type_.dialect_impl(_DIALECT).bind_processor(_DIALECT)


def _reader(type_: TypeEngine[Any]) -> Processor | None:
    return type_.dialect_impl(_DIALECT).result_processor(_DIALECT, None)
