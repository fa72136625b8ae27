"""Agreements that chose another method: what answers say of it, and what the ledger holds them to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from app import cli_release
from app.disclosure.treatment import Treatment
from app.errors import RefusedError
from app.flows import population
from app.flows.agreement_terms import parse_terms
from app.flows.preview_release import interval_in_words, preview_release
from app.flows.release_csv import to_csv
from app.flows.replay_run import replay_run
from app.flows.service import open_service
from app.settings import Settings
from app.store import releases, runs
from app.store.models import LedgerEntry
from tests.flows.linkage_world import AGREEMENT, COHORTS, Packages, World, agreement_document, populate
from tests.flows.test_release import Question, ask, link_once, newest, refused

NOISE = {"method": "differential_privacy", "epsilon": "0.75", "total_epsilon": "1"}


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory, packages: Packages) -> Iterator[World]:
    """A linked region under an agreement on differential privacy."""
    service = open_service(Settings.for_data(tmp_path_factory.mktemp("noisy")))
    region = populate(service, packages, disclosure=NOISE)
    link_once(region)
    yield region
    service.close()


def test_answer_with_noise_says_so_and_costs_nothing_when_it_is_asked_again(noisy: World) -> None:
    first = ask(noisy, "sex")
    protection = first["table"]["protection"]
    assert (protection["method"], protection["epsilon"]) == ("differential_privacy", "0.75")
    assert protection["margins"] == "not consistent"
    assert "noise" in protection["meaning"]
    assert f"within {protection['interval']['persons']} persons" in protection["meaning"]
    assert "differential_privacy" in to_csv(first)
    assert ask(noisy, "sex")["table"] == first["table"]
    with noisy.service.store.reading() as tx:
        (entry,) = releases.ledger_of_agreement(tx, AGREEMENT)
        run = runs.latest_succeeded(tx, AGREEMENT)
    assert (entry.method, entry.epsilon) == ("differential_privacy", "0.75")
    assert run is not None
    replayed = replay_run(noisy.service, run.id)
    assert [check["what"] for check in replayed["checks"] if not check["same"]] == []


def test_question_when_the_budget_of_noise_is_spent_is_refused_and_logged(noisy: World) -> None:
    ask(noisy)
    assert refused(noisy, Question("employed_q2", COHORTS)) == "BUDGET_EXHAUSTED"
    assert newest(noisy).body["code"] == "BUDGET_EXHAUSTED"
    assert ask(noisy)["status"] == "GRANTED"


def test_population_that_is_published_by_one_method_is_not_published_by_another(packages: Packages) -> None:
    terms = parse_terms(agreement_document(packages, disclosure={"method": "cell_key"}))
    population.require_one_method(terms, [LedgerEntry(method="cell_key")])
    with pytest.raises(RefusedError) as refusal:
        population.require_one_method(terms, [LedgerEntry(method="suppression")])
    assert refusal.value.code == "OTHER_METHOD"
    assert population.least_cell(terms, None, [LedgerEntry(min_cell=25)]) == 25


@pytest.mark.parametrize(
    ("disclosure", "place"),
    [
        ({"tables": [["county"]]}, "disclosure.tables.0"),
        ({"tables": [["sex", "sex"]]}, "disclosure.tables.0"),
        ({"min_found": 12}, "disclosure.min_found"),
        ({"epsilon": "5", "total_epsilon": "4"}, "disclosure.epsilon"),
        ({"method": "rounding"}, "disclosure.method"),
        ({"colour": "blue"}, "disclosure.colour"),
    ],
)
def test_terms_of_disclosure_that_contradict_the_agreement_are_refused_by_their_place(
    packages: Packages, disclosure: dict[str, object], place: str
) -> None:
    with pytest.raises(RefusedError) as refusal:
        parse_terms(agreement_document(packages, min_cell=15, disclosure=disclosure))
    assert place in [problem.column for problem in refusal.value.problems]


def test_preview_tells_owners_what_policies_would_publish_and_publishes_nothing(noisy: World) -> None:
    with noisy.service.store.reading() as tx:
        before = len(releases.ledger_of_agreement(tx, AGREEMENT))
    found = preview_release(
        noisy.service, AGREEMENT, "employed_q4", COHORTS, dimensions=["pathway", "sex"], min_cells=[10, 40]
    )
    assert [policy["min_cell"] for policy in found["policies"]] == [10, 40]
    low, high = (policy["tables"][0] for policy in found["policies"])
    assert low["cells"] == high["cells"] > 0
    assert 0 <= high["rates_of_persons"] <= low["rates_of_persons"] <= 110
    entry = newest(noisy)
    assert (entry.kind, entry.body["policies"][0]) == ("release.previewed", {"min_cell": 10, "depth": 1})
    with noisy.service.store.reading() as tx:
        assert len(releases.ledger_of_agreement(tx, AGREEMENT)) == before
    with pytest.raises(RefusedError):
        preview_release(noisy.service, AGREEMENT, "employed_q4", COHORTS, min_cells=[5])


@pytest.mark.parametrize(
    ("protection", "words"),
    [
        (Treatment().to_document(), None),
        (Treatment("cell_key").to_document(3), "each count lies within 8 persons of what was counted"),
        (
            Treatment("controlled_rounding", rounding_base=5).to_document(3),
            (
                "each count lies within 4 persons of what was counted, "
                "or a multiple of that where sums could not be kept otherwise"
            ),
        ),
        (
            Treatment("differential_privacy", epsilon="0.75").to_document(3),
            "95 of 100 counts, found or not found, lie within 12 persons of what was counted",
        ),
    ],
)
def test_preview_says_how_far_from_what_was_counted_changed_figures_may_be(
    protection: dict[str, object], words: str | None
) -> None:
    assert interval_in_words({"protection": protection}) == words


def test_preview_on_the_command_line_prints_the_interval_of_each_policy(noisy: World) -> None:
    asked = ["preview", AGREEMENT, "--indicator", "employed_q4", "--cohort", COHORTS]
    limits = ["--dimension", "pathway", "--min-cell", "10", "--depth", "0", "--depth", "1"]
    told = CliRunner().invoke(cli_release.app, [*asked, *limits, "--data", str(noisy.service.settings.data)])
    assert told.exit_code == 0, told.output
    # Two tables share the budget that the total alone had.
    assert "k 10, depth 0: 95 of 100 counts, found or not found, lie within 4 persons" in told.output
    assert "k 10, depth 1: 95 of 100 counts, found or not found, lie within 8 persons" in told.output
