"""A standardised rate as one more equation for somebody who knows every number of persons.

Such a rate is a sum of those found in the comparison group, each stratum's weighted by how many participants
stand against one of its members. Whoever knows all of these numbers knows the weights.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.joint import ABSENT, FOUND, Entries, Joint

#: Axes of a layer of participants and comparison group.
ROLE, STRATUM = "role", "stratum"
#: Participants with a counterpart, their counterparts, everybody else.
TAKES_PART, COMPARED, OTHER = "TAKES_PART", "COMPARED", "OTHER"
ROLES = (TAKES_PART, COMPARED, OTHER)


def is_standardised(entries: Entries) -> bool:
    """Whether a layer is one of participants and comparison group."""
    return tuple(axis.name for axis in entries.axes) == (ROLE, STRATUM)


def standardised_row(joint: Joint, layer: int) -> sp.csr_matrix:
    """The weights of a standardised rate over all columns, the largest of them one; shape (1, n_columns)."""
    place, state = joint.places[layer], joint.pattern[:, layer]
    counted = np.bincount(
        joint.cell, weights=joint.truth * (state != ABSENT), minlength=len(place.present)
    ) * (place.present & place.masks[frozenset()])
    role, stratum = place.codes[:, 0], place.codes[:, 1]
    strata = int(stratum.max(initial=0)) + 1

    def by_stratum(code: str) -> NDArray[np.float64]:
        inside = np.where(role == ROLES.index(code), counted, 0.0)
        return np.asarray(np.bincount(np.maximum(stratum, 0), weights=inside, minlength=strata), np.float64)

    ours, theirs = by_stratum(TAKES_PART), by_stratum(COMPARED)
    weight = np.divide(ours, theirs, out=np.zeros(strata), where=theirs > 0)
    weight /= max(float(weight.max(initial=0.0)), 1e-12)
    of_cell = np.where((role == ROLES.index(COMPARED)) & (counted > 0), weight[np.maximum(stratum, 0)], 0.0)
    return sp.csr_matrix(np.where(state == FOUND, of_cell[joint.cell], 0.0))
