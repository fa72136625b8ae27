"""Which scan runs: tiles are taken where they are granted and pay, and refused with the reason elsewhere."""

from __future__ import annotations

import platform
import re

import numpy as np
import pytest

from linkage.errors import LinkageError
from linkage.scan import agreement_pairs, backends, permission
from linkage.scan.backends import BACKENDS, in_words, select, unavailable

AMX = BACKENDS["amx"]


def test_select_without_tiles_refuses_them_and_says_why() -> None:
    why = permission.refusal()
    if why is None:
        pytest.skip("this machine has tiles")
    assert f"no amx: {why}" in in_words()
    with pytest.raises(LinkageError, match=f"amx: {re.escape(why)}"):
        select("amx", (10, 10))
    assert select("auto", (10**6, 10**6)).name != "amx"


def test_permission_kernel_asked_for_tiles_that_are_not_there_says_so() -> None:
    if not unavailable(AMX):
        assert permission.ask_kernel() is None
    elif platform.system() == "Linux" and platform.machine() == "x86_64":
        assert "the kernel does not grant tiles" in str(permission.ask_kernel())


def test_select_where_there_are_tiles_takes_them_for_many_pairs_of_dice_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(permission, "refusal", lambda: None)
    monkeypatch.setattr(backends, "processor_features", lambda: AMX.needs | {"avx2"})
    assert select("auto", (200_000, 5_000_000)).name == "amx"
    assert select("auto", (1_000, 1_000)).name == "avx2"
    assert select("auto", (100, 500_000_000)).name == "avx2"  # to project the many would take longer
    assert select("amx", (1, 1)).name == "amx"
    words = np.ones((2, 64), np.uint64)
    assert select("auto").name == "avx2"
    with pytest.raises(LinkageError, match=r"BACKEND_UNAVAILABLE.*Dice only"):
        agreement_pairs(words, words, "0.6", backend="amx")
