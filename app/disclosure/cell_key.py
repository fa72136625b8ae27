"""Cell-key perturbation, by the package of the Office for National Statistics.

Every person has a record key, by a secret; a group's cell key is the sum of its persons' keys, and tells
with the true count by how many persons it is changed. So the same persons are changed alike in every table,
cohort, vintage and agreement, and asking again tells nothing new.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import cell_key_perturbation.utils.validate_inputs_before_perturbation as validation  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
from cell_key_perturbation.create_perturbed_table import create_perturbed_table  # type: ignore[import-untyped]
from numpy.typing import NDArray

from app.disclosure.finest import Ints
from app.disclosure.treatment import MOST_CHANGED

#: Cell keys, as the package's tables have them.
KEYS = 256
#: A count is changed by at most so many persons, with this standard deviation.
MOST, DEVIATION = MOST_CHANGED, 3.0
#: The package repeats the last 250 rows of a table of so many counts.
_COUNTS = 750

# The package says on standard output that its arguments are in order; a service has no use for that.
vars(validation)["print"] = lambda *_: None


def record_keys(secret: bytes, persons: Sequence[str]) -> Ints:
    """A key of each person that only the secret's holder can tell, the same wherever she is counted."""
    message = b"cohortlink/record-key/1\n"
    return np.array(
        [hmac.digest(secret, message + person.encode(), hashlib.sha256)[0] for person in persons], np.int64
    )


def perturbation_table() -> pd.DataFrame:
    """By how many persons a count is changed, for each cell key: symmetric, and by nothing on average."""
    changes = np.arange(-MOST, MOST + 1)
    weights = np.exp(-(changes**2) / (2 * DEVIATION**2))
    cuts = np.round(np.cumsum(weights / weights.sum()) * KEYS)
    by_key = changes[np.searchsorted(cuts, np.arange(KEYS), side="right")]
    count, key = np.meshgrid(np.arange(1, _COUNTS + 1), np.arange(KEYS), indexing="ij")
    # A count below the largest change never becomes negative; it is withheld in any case.
    change = np.maximum(by_key[key], -count)
    return pd.DataFrame({"pcv": count.ravel(), "ckey": key.ravel(), "pvalue": change.ravel()})


def perturbed_counts(
    codes: Ints, keys: Ints, chosen: NDArray[np.bool_], table: pd.DataFrame, threshold: int
) -> dict[tuple[int, ...], int]:
    """Changed counts of the groups of a table that reach ``threshold``.

    Parameters
    ----------
    codes : array, shape (n, n_dimensions)
    keys : array, shape (n,)
    chosen : array of bool, shape (n,)
        Who is counted.
    """
    if not chosen.any():
        return {}
    names = [f"d{at}" for at in range(codes.shape[1])] or ["all"]
    columns = codes[chosen] if codes.shape[1] else np.zeros((int(chosen.sum()), 1), np.int64)
    micro = pd.DataFrame(columns, columns=names).assign(key=keys[chosen])
    counted: Any = create_perturbed_table(micro, table, [], names, "key", threshold=threshold)
    return {
        tuple(int(code) for code in row[: codes.shape[1]]): int(row[-1])
        for row in counted[[*names, "count"]].itertuples(index=False)
        if not pd.isna(row[-1])
    }
