"""An unprotected table has no text and no bytes."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict

import pytest

from app.disclosure.table import Cell, Coverage, Description, Table

ABOUT = Description(
    "employed_q4", "Employed", "Found with wages.", "2021-22", "FINAL", Coverage("Wage records.")
)
SECRET_N, SECRET_FOUND = 918273, 645546


def a_table() -> Table:
    cell = Cell(SECRET_N, SECRET_FOUND)
    return Table(ABOUT, ("sex",), keys=(("Male",),), labels=("Male",), cells=(cell,), total=cell)


@pytest.mark.parametrize("make", [a_table, lambda: a_table().total], ids=["table", "cell"])
@pytest.mark.parametrize(
    "leave",
    [
        pickle.dumps,
        lambda thing: pickle.dumps(thing, protocol=0),
        copy.copy,
        copy.deepcopy,
        json.dumps,
        lambda thing: json.dumps(thing, default=vars),
        lambda thing: json.dumps(thing, default=asdict),
        lambda thing: json.dumps(thing, default=dict),
        lambda thing: json.dumps(thing, default=list),
        lambda thing: json.dumps({"x": [thing]}, default=lambda other: other.__dict__),
        list,
        dict,
        vars,
        asdict,
        lambda thing: thing.__getstate__(),
    ],
)
def test_serialising_an_unprotected_table_is_refused(
    make: Callable[[], object], leave: Callable[[object], object]
) -> None:
    with pytest.raises((TypeError, AttributeError)):
        leave(make())


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        "{}".format,
        "{!r}".format,
        lambda thing: f"{thing:>40}",
        lambda thing: f"{[thing]} {(thing,)}",
        lambda thing: json.dumps(thing, default=str),
        lambda thing: json.dumps(thing, default=repr),
    ],
)
def test_text_of_an_unprotected_table_shows_no_figure(show: Callable[[object], str]) -> None:
    for thing in (a_table(), a_table().total):
        text = show(thing)
        assert str(SECRET_N) not in text
        assert str(SECRET_FOUND) not in text


def test_log_line_and_traceback_with_an_unprotected_table_show_no_figure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = a_table()
    logging.getLogger(__name__).warning("made %s of %r", table, table.total)
    assert str(SECRET_N) not in caplog.text
    try:
        raise ValueError(table)
    except ValueError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert str(SECRET_N) not in text


def test_partition_that_does_not_add_up_is_no_table() -> None:
    with pytest.raises(ValueError, match="add up"):
        Table(ABOUT, ("sex",), keys=(("Male",),), labels=("Male",), cells=(Cell(3, 1),), total=Cell(4, 1))


def test_cell_with_more_found_than_persons_is_no_cell() -> None:
    with pytest.raises(ValueError):
        Cell(3, 4)
