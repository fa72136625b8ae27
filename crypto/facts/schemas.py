"""The closed schemas of the four kinds of facts: what each column is called, may hold, and is typed as.

A column that is not listed here rejects the file. The rules that one column can tell about itself are its
``form``; the rules that concern several columns or rows are in :mod:`crypto.facts.rules`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from crypto.facts import forms
from crypto.facts.forms import Form


@dataclass(frozen=True)
class Field:
    """One column.

    Attributes
    ----------
    name : str
    form : Form
        How text becomes a typed value, and the sentence shown when it cannot.
    required : bool
        Every row needs a value (rows that only delete an earlier version need their key alone).
    default : str or None
        What an absent column or empty value stands for.
    """

    name: str
    form: Form
    required: bool = False
    default: str | None = None


@dataclass(frozen=True)
class Schema:
    """The columns of one kind, in the order in which they are written, and its key.

    Attributes
    ----------
    kind : str
    fields : tuple of Field
        Without the reference column, which comes first.
    key : tuple of str
        Two rows of one file must not agree in all of these.
    """

    kind: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names without the reference column."""
        return tuple(field.name for field in self.fields)

    def arrow(self, reference: str = "record_ref") -> pa.Schema:
        """Schema of a validated table: the reference column first, then the fields."""
        columns = [pa.field(reference, pa.string(), nullable=False)]
        columns += [pa.field(field.name, field.form.type) for field in self.fields]
        return pa.schema(columns)


_PERSON_ATTRIBUTES = (
    Field("county_fips", forms.COUNTY),
    Field("race", forms.RACE),
    Field("hispanic", forms.HISPANIC),
    Field("sex", forms.codes("sexes")),
    Field("age_band", forms.codes("age_bands")),
    Field("exclusion_reason", forms.codes("exclusion_reasons")),
    Field("exclusion_date", forms.DATE),
)

COMPLETION = Schema(
    "completion",
    (
        Field("completion_id", forms.LOCAL_ID, required=True),
        Field("version", forms.VERSION, required=True, default="1"),
        Field("is_deleted", forms.BOOLEAN, required=True, default="false"),
        Field("award_kind", forms.codes("award_kinds"), required=True),
        Field("award_level", forms.AWARD_LEVEL),
        Field("credential_type", forms.codes("credential_types")),
        Field("hse_type", forms.codes("hse_types")),
        Field("award_date", forms.AWARD_DATE, required=True),
        Field("cip_code", forms.CIP),
        Field("cip_version", forms.CIP_VERSION),
        Field("institution_id", forms.INSTITUTION),
        Field("id_system", forms.codes("id_systems")),
        *_PERSON_ATTRIBUTES,
    ),
    key=("completion_id", "version"),
)

WAGE = Schema(
    "wage",
    (
        Field("state_fips", forms.codes("states"), required=True),
        Field("quarter", forms.QUARTER, required=True),
        Field("employer_token", forms.EMPLOYER_TOKEN, required=True),
        Field("account_token", forms.ACCOUNT_TOKEN),
        Field("report_version", forms.VERSION, required=True, default="1"),
        Field("wages", forms.WAGES, required=True),
        Field("adjustment", forms.BOOLEAN, required=True, default="false"),
        Field("weeks_paid", forms.WEEKS),
        Field("hours", forms.HOURS),
        Field("naics", forms.NAICS),
        Field("work_county_fips", forms.COUNTY),
        Field("ownership", forms.codes("ownerships")),
        Field("source", forms.codes("wage_sources"), required=True, default="UI"),
        Field("received_date", forms.DATE),
    ),
    key=("record_ref", "state_fips", "quarter", "employer_token", "account_token", "report_version"),
)

PARTICIPATION = Schema(
    "participation",
    (
        Field("program_type", forms.codes("program_types"), required=True),
        Field("provider_id", forms.PROVIDER, required=True),
        Field("entry_date", forms.DATE, required=True),
        Field("exit_date", forms.DATE),
        Field("exit_reason", forms.codes("exit_reasons")),
        Field("family_type", forms.FAMILY_TYPE),
        *_PERSON_ATTRIBUTES,
    ),
    key=("record_ref", "program_type", "provider_id", "entry_date"),
)

TRUTH = Schema(
    "truth",
    (
        Field("other_record_ref", forms.RECORD_REF, required=True),
        Field("same_person", forms.BOOLEAN, required=True),
    ),
    key=("record_ref", "other_record_ref"),
)

SCHEMAS: dict[str, Schema] = {schema.kind: schema for schema in (COMPLETION, WAGE, PARTICIPATION, TRUTH)}
