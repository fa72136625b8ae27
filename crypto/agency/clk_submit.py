"""CLKs to the service in one call, with facts: for agreements whose profile is clkhash's."""

from __future__ import annotations

import base64
import csv
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from crypto.agency.log_key import fetch_keys, read_keys, remember
from crypto.agency.partial import Partial, check_out
from crypto.agency.receipt import check_receipt, write_receipt
from crypto.agency.service import Service, bad_answer, json_object
from crypto.canonical import canonical_json
from crypto.errors import InputError, RowProblem
from crypto.facts import validate_facts
from crypto.interop.clk_file import read_clks
from crypto.tabular import MAX_PROBLEMS, as_text, read_table
from crypto.wire import CROSSWALK_NAME, FACT_KINDS

#: What the service takes in one call.
MOST_BYTES: Final = 4 * 1024 * 1024


def submit_clks(
    clks: Path,
    people: Path,
    id_column: str,
    facts_files: Mapping[str, Path],
    out: Path,
    *,
    url: str,
    agreement: str,
    api_key: str,
    log_key: Path,
    today: date,
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> dict[str, Any]:
    """Send a file of CLKs with facts; keeps the receipt and the private crosswalk in a new folder.

    Parameters
    ----------
    clks
        JSON as clkhash writes it; the n-th CLK is of the n-th row of ``people``.
    people, id_column
        The file that the CLKs were made of, and the column of the agency's id. Only the ids are read.
    facts_files
        File of facts by kind, by the same ids.
    out
        Folder to make: ``receipt.json`` and ``crosswalk.csv`` (``id,record_ref``).
    url, agreement, api_key, log_key
        As :func:`crypto.agency.submit.submit`.
    today
        Facts may not lie after it.

    Returns
    -------
    dict
        ``batch``, ``records`` and ``facts`` (rows by kind).

    Raises
    ------
    InputError
        ``CLKS_MISMATCH``, ``ID_CONFLICT``, ``FACT_ID_UNKNOWN``, ``TOO_LARGE``, and the codes of
        ``clk_file``, ``tabular`` and ``facts``.
    SignatureError, LogError, CohortlinkError
        As :func:`crypto.agency.submit.submit`.
    """
    check_out(out)
    packed = read_clks(clks).packed
    places = _places(people, id_column, delimiter, encoding)
    if len(places) != len(packed):
        raise InputError("CLKS_MISMATCH", f"there are {len(packed)} CLKs and {len(places)} persons")
    facts = {
        kind: _facts(kind, path, id_column, places, today, delimiter, encoding)
        for kind, path in facts_files.items()
    }
    body = {"clks": [base64.b64encode(row.tobytes()).decode() for row in packed]}
    content = canonical_json({**body, "facts": facts} if facts else body)
    if len(content) > MOST_BYTES:
        detail = f"the service takes {MOST_BYTES} bytes in one call, these are {len(content)}; send parts"
        raise InputError("TOO_LARGE", detail)
    with Service(url, api_key) as service, Partial(out) as partial:
        known = read_keys(log_key) if log_key.exists() else []
        keys = fetch_keys(service, known)
        answer = json_object(
            service.call(
                "POST",
                f"agreements/{quote(agreement, safe='')}/batches/clks",
                content=content,
                headers={"Content-Type": "application/json"},
            )
        )
        refs, receipt = answer.get("record_refs"), answer.get("receipt")
        if not isinstance(refs, list) or len(refs) != len(packed) or not isinstance(receipt, dict):
            raise bad_answer("no receipt, or not one reference for each record")
        check_receipt(receipt, "\n".join(keys), None)
        if keys != known:
            remember(log_key, keys)
        _write_crosswalk(partial.path / CROSSWALK_NAME, places, [str(ref) for ref in refs])
        write_receipt(partial.path, receipt)
        partial.publish()
    return {
        "batch": receipt["document"]["batch"],
        "records": len(packed),
        "facts": {kind: len(rows) for kind, rows in facts.items()},
    }


def _places(people: Path, id_column: str, delimiter: str, encoding: str) -> dict[str, int]:
    """Place of each person in the file, from 0, by id."""
    table = read_table(people, delimiter=delimiter, encoding=encoding)
    if id_column not in table.column_names:
        raise InputError("ID_COLUMN_MISSING", "the file has no such column", column=id_column)
    ids = pc.utf8_trim_whitespace(as_text(table, id_column)).to_pylist()
    places: dict[str, int] = {}
    for place, one in enumerate(ids):
        if not one or one in places:
            code, detail = ("ID_CONFLICT", "an id repeats") if one else ("ID_MISSING", "the row has no id")
            raise InputError(code, detail, row=place + 1, column=id_column)
        places[one] = place
    return places


def _facts(
    kind: str,
    path: Path,
    id_column: str,
    places: Mapping[str, int],
    today: date,
    delimiter: str,
    encoding: str,
) -> list[dict[str, Any]]:
    """Rows of facts as texts, by place of the person."""
    if kind not in FACT_KINDS:
        raise InputError("FACTS_KIND_UNKNOWN", f"kinds of facts are {', '.join(FACT_KINDS)}")
    table = read_table(path, delimiter=delimiter, encoding=encoding)
    typed = validate_facts(kind, table, submitted_on=today, reference=id_column)
    ids = pc.utf8_trim_whitespace(typed[id_column].cast(pa.string())).to_pylist()
    unknown = [row for row, one in enumerate(ids) if one not in places]
    if unknown:
        detail = f"a row of the {kind} facts has an id that is not among the persons"
        problems = [RowProblem(row + 1, id_column, "FACT_ID_UNKNOWN", detail) for row in unknown]
        raise InputError(
            "FACT_ID_UNKNOWN",
            f"{detail}; {len(unknown)} rows",
            row=problems[0].row,
            column=id_column,
            problems=problems[:MAX_PROBLEMS],
        )
    columns = {name: as_text(table, name).to_pylist() for name in table.column_names if name != id_column}
    return [
        {"record": places[one], **{name: cells[row] for name, cells in columns.items() if cells[row]}}
        for row, one in enumerate(ids)
    ]


def _write_crosswalk(path: Path, places: Mapping[str, int], refs: list[str]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
        crosswalk = csv.writer(stream, lineterminator="\n")
        crosswalk.writerow(("id", "record_ref"))
        crosswalk.writerows((one, refs[place]) for one, place in places.items())
        stream.flush()
        os.fsync(stream.fileno())
