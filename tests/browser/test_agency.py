"""An agency at a browser: decides on a version with its signature, follows batches, stops and destroys."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect
from typer.testing import CliRunner

from app.errors import ServiceError
from app.flows import publish_release, seal_log, show_batches, sign_agreement, submit_batch
from app.flows.agency_views import batch_view
from app.flows.publish_release import Question
from app.flows.queries import get_agreement
from app.flows.receive_parts import receive_part
from app.store import batches, releases
from crypto.agency.cli import app as agency_program
from tests.browser.region import AGREEMENT, COHORTS, Region
from tests.browser.visitor import PHONE, WIDE, Visitor
from tests.world import completion_table, make_package, make_refs

Visit = Callable[..., Visitor]
#: Colours do not depend on the width: both schemes are looked at on the wide page, one on the narrow.
SCHEMES = {WIDE: ("light", "dark"), PHONE: ("dark",)}
AGENCY, OTHER = "ohio-education", "ohio-workforce"


def run(*arguments: object) -> None:
    """The agency's own program, as an agency runs it."""
    done = CliRunner().invoke(agency_program, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output


def propose(region: Region, name: str, versions: int = 1) -> None:
    """An agreement in review; of two versions the agency has approved the first."""
    partnership = region.caller("partnership")
    document = copy.deepcopy(get_agreement(region.service, partnership, AGREEMENT)["document"]) | {
        "id": name,
        "purpose": "To learn how many graduates find work within one year.",
        "min_cell": {AGENCY: 12, OTHER: 15},
        "destroy_within_days": 30,
    }
    sign_agreement.propose(region.service, partnership, document)
    sign_agreement.review(region.service, partnership, name)
    if versions == 2:
        approve(region, name, AGENCY)
        wider = document | {
            "purpose": "To learn how many graduates find work within two years, and where.",
            "dimensions": [*document["dimensions"], "county"],
            "geography_floor": "county",
            "max_dimensions": 2,
            "min_cell": {AGENCY: 12, OTHER: 20},
            "review_days": 7,
        }
        sign_agreement.edit(region.service, partnership, name, wider)
        sign_agreement.review(region.service, partnership, name)


def statement(region: Region, name: str, organization: str, purpose: str) -> dict[str, Any]:
    found = get_agreement(region.service, region.caller("operator"), name)
    document = {
        "agreement": name,
        "version": found["version"],
        "hash": found["hash"],
        "organization": organization,
    }
    return {"document": document, "signature": region.signing_keys[organization].sign(purpose, document)}


def approve(region: Region, name: str, organization: str) -> None:
    signed = statement(region, name, organization, "agreement-approval")
    sign_agreement.approve(
        region.service, region.caller(organization), name, signed["document"], signed["signature"]
    )


def sign_as_told(page: Page, region: Region, folder: Path, organization: str) -> Path:
    """Do what the page says: download the version, run the command that it shows; returns the statement."""
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("Download")).click()
    version = folder / download.value.suggested_filename
    download.value.save_as(version)
    key = folder / "signing.json"
    key.unlink(missing_ok=True)
    region.signing_keys[organization].save(key)
    told = page.get_by_role("region", name="Sign", exact=True).inner_text().replace("\\\n", " ").split()
    places = {version.name: version, "signing.json": key, told[-1]: folder / told[-1]}
    run(*(places.get(word, word) for word in told[1:]))
    return folder / told[-1]


def test_an_agency_reads_what_a_version_changes_and_approves_it_with_its_signature(
    visit: Visit, region: Region, tmp_path: Path
) -> None:
    propose(region, "certificates", versions=2)
    visitor = visit(AGENCY, scripts=False)
    page = visitor.open("/agency")
    expect(page.get_by_role("heading", name="certificates waits for your approval")).to_be_visible()
    visitor.shoot("agency-overview")
    page.get_by_role("link", name="Read what it changes").click()
    county = page.get_by_role("row", name="Dimension: county")
    expect(county).to_contain_text("permits more")
    expect(page.get_by_role("row", name="Minimum cell, the largest")).to_contain_text("permits less")
    expect(page.locator("del").first).to_be_visible()
    visitor.shoot("agency-changes")
    page.get_by_role("link", name="Approve version 2").click()
    visitor.shoot("agency-approve")
    signed = sign_as_told(page, region, tmp_path, AGENCY)
    # Somebody else's signature is refused, on the form.
    forged = json.loads(signed.read_text())
    forged["signature"] = region.signing_keys[OTHER].sign("agreement-approval", forged["document"])
    visitor.expected.add(422)
    page.get_by_text("Or paste its text").click()
    page.get_by_label("Signed statement").fill(json.dumps(forged))
    page.get_by_role("button", name="Hand in the approval").click()
    expect(page.get_by_text("No key registered to your organization made this signature")).to_be_visible()
    assert page.title().startswith("Error:")
    page.get_by_label("File that the command wrote").set_input_files(signed)
    page.get_by_role("button", name="Hand in the approval").click()
    expect(page.get_by_text("Your approval is on record and in the log.")).to_be_visible()
    given = get_agreement(region.service, region.caller(AGENCY), "certificates")["approvals"]
    assert [each["organization"] for each in given] == [AGENCY]
    assert AGENCY not in visitor.open("/agency").get_by_role("row", name="certificates").inner_text()


def test_an_accepted_batch_shows_its_receipt_which_verifies_offline(
    visit: Visit, region: Region, tmp_path: Path
) -> None:
    batch = region.batches[AGENCY]
    visitor = visit(AGENCY, scripts=False)
    page = visitor.open("/agency")
    page.get_by_role("link", name=batch).click()
    coverage = batch_view(region.service, region.caller(AGENCY), batch)["coverage"]
    row = page.get_by_role("row", name="With a strong identifier")
    expect(row).to_contain_text(f"{coverage['strong_identifier']:,}")
    expect(row).to_contain_text(f"{100 * coverage['strong_identifier'] / coverage['persons']:.1f} %")
    assert page.get_by_role("row", name="given name").count() == 1
    visitor.shoot("agency-batch")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the receipt").click()
    download.value.save_as(tmp_path / "receipt.json")
    (tmp_path / "log.vkey").write_text(seal_log.verifier_key(region.service))
    # Without a package beside it, the receipt is verified by itself.
    run("receipt", "verify", tmp_path / "receipt.json", "--key", tmp_path / "log.vkey")


def test_a_refused_batch_names_rows_and_columns_and_no_value(visit: Visit, region: Region) -> None:
    batch = refused_batch(region)
    visitor = visit(AGENCY)
    page = visitor.open(f"/agency/batches/{batch}")
    table = page.get_by_role("table", name="What to mend")
    expect(table.get_by_role("row")).to_have_count(3)
    assert [row.split("\t")[0] for row in table.locator("tbody").inner_text().splitlines()] == ["7", "31"]
    expect(table).to_contain_text("award_date")
    assert "2022-13-05" not in page.content()
    visitor.shoot("agency-batch-refused")
    visitor.require_accessible()


def refused_batch(region: Region) -> str:
    """Submit a batch with two wrong dates; returns its id."""
    caller, refs = region.caller(AGENCY), make_refs(40)
    dates = ["2022-05-15"] * 40
    dates[6], dates[30] = "2022-13-05", "2022-02-30"
    package = make_package(AGREEMENT, facts=completion_table(refs, award_date=dates), count=40)
    with region.service.store.reading() as tx:
        held = batches.find(tx, region.batches[AGENCY])
        assert held is not None
        package.manifest["kcv"], package.manifest["profile"] = held.kcv, held.profile_hash
    signature = region.signing_keys[AGENCY].sign("batch-manifest", package.manifest)
    batch, _ = submit_batch.begin(region.service, caller, AGREEMENT, package.manifest, signature)
    for name, data in package.files.items():
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        receive_part(region.service, caller, batch["id"], name, 0, f"sha-256=:{digest}:", [data])
    with pytest.raises(ServiceError):
        submit_batch.complete(region.service, caller, batch["id"])
    return str(batch["id"])


def test_an_agency_withdraws_a_batch_only_after_typing_its_id(visit: Visit, region: Region) -> None:
    package = make_package(AGREEMENT, count=30, seed=5)
    with region.service.store.reading() as tx:
        held = batches.find(tx, region.batches[AGENCY])
        assert held is not None
        package.manifest["kcv"] = held.kcv
    signature = region.signing_keys[AGENCY].sign("batch-manifest", package.manifest)
    caller = region.caller(AGENCY)
    batch, _ = submit_batch.begin(region.service, caller, AGREEMENT, package.manifest, signature)
    visitor = visit(AGENCY, scripts=False)
    page = visitor.open(f"/agency/batches/{batch['id']}")
    expect(page.get_by_text("0 of 1 part").first).to_be_visible()
    visitor.expected.add(422)
    page.get_by_label("Type the id of the batch").fill("b_")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_text("This is not the id of the batch.")).to_be_visible()
    page.get_by_label("Type the id of the batch").fill(batch["id"])
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_text("The batch is withdrawn; its keys are destroyed.")).to_be_visible()
    assert show_batches.get_batch(region.service, caller, batch["id"])["state"] == "WITHDRAWN"


def test_an_agency_holds_revokes_and_has_the_data_destroyed_by_two(
    visit: Visit, region: Region, tmp_path: Path
) -> None:
    name = "to-be-ended"
    propose(region, name)
    for organization in region.signing_keys:
        approve(region, name, organization)
    visitor = visit(AGENCY, scripts=False)
    page = visitor.open(f"/agency/agreements/{name}")
    page.get_by_role("button", name="Hold this agreement").click()
    expect(page.get_by_role("heading", name=f"Held by {AGENCY}")).to_be_visible()
    page.get_by_role("button", name="Lift your hold").click()
    expect(page.get_by_text("Your hold is lifted.")).to_be_visible()
    page.get_by_role("link", name="Revoke this agreement").click()
    page.get_by_label("File that the command wrote").set_input_files(
        sign_as_told(page, region, tmp_path, AGENCY)
    )
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("heading", name=f"Revoked by {AGENCY}")).to_be_visible()
    page.get_by_label("Type the id of the agreement").fill(name)
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text("Destruction is due. Another organization executes it.")).to_be_visible()
    assert page.get_by_role("button", name="Destroy").count() == 0
    second = visit(OTHER)
    page = second.open(f"/agency/agreements/{name}")
    page.get_by_label("Type the id of the agreement").fill(name)
    page.get_by_role("button", name="Destroy").click()
    page.get_by_role("link", name="Certificate of destruction").click()
    expect(page.get_by_text(f"executed by {OTHER}")).to_be_visible()
    expect(page.get_by_text(f"witnessed by {AGENCY}")).to_be_visible()
    second.require_accessible()


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_the_pages_of_an_agency_have_no_fault_that_axe_finds(
    visit: Visit, region: Region, width: int
) -> None:
    name = f"looked-at-{width}"
    propose(region, name, versions=2)
    visitor = visit(AGENCY, width=width)
    batch = region.batches[AGENCY]
    for path in (
        "/agency",
        f"/agency/agreements/{name}",
        f"/agency/agreements/{name}/approve",
        f"/agency/agreements/{name}/versions/1",
        f"/agency/agreements/{AGREEMENT}/revoke",
        f"/agency/batches/{batch}",
    ):
        visitor.open(path)
        visitor.require_accessible(schemes=SCHEMES[width])
    if width == PHONE:
        visitor.open(f"/agency/agreements/{name}")
        visitor.shoot("agency-phone", scheme="dark", full=False)


def test_a_version_is_approved_with_the_keyboard_alone(visit: Visit, region: Region) -> None:
    name = "by-keyboard"
    propose(region, name)
    visitor = visit(AGENCY)
    page = visitor.open(f"/agency/agreements/{name}/approve")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    reach(page, "summary", "Or paste its text")
    page.keyboard.press("Enter")
    reach(page, "textarea", "")
    signed = statement(region, name, AGENCY, "agreement-approval")
    page.keyboard.insert_text(json.dumps(signed))
    reach(page, "button", "Hand in the approval")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your approval is on record and in the log.")).to_be_visible()


def reach(page: Page, tag: str, text: str) -> None:
    """Tab on until an element has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        here = page.evaluate("[document.activeElement.localName, document.activeElement.textContent.trim()]")
        if here[0] == tag and text in here[1]:
            return
    raise AssertionError(f"{tag} {text!r} cannot be reached")


def test_an_owner_reads_a_table_in_review_and_objects_before_its_recipients_see_it(
    visit: Visit, region: Region
) -> None:
    # A question that no other test asks: an objection is for good.
    service, partnership = region.service, region.caller("partnership")
    asked = publish_release.request_release(
        service, partnership, AGREEMENT, Question("employed_q4", COHORTS, (), {"sex": "Female"})
    )
    with service.store.transaction() as tx:
        row = releases.find(tx, asked["id"])
        assert row is not None
        # As under an agreement with days of review.
        row.visible_at = region.clock.now + timedelta(days=7)
    assert publish_release.show_release(service, partnership, asked["id"])["table"] is None
    visitor = visit(AGENCY)
    page = visitor.open("/agency")
    expect(page.get_by_role("heading", name="An answer waits for your review").first).to_be_visible()
    page.get_by_role("link", name=re.compile("^Review it")).first.click()
    expect(page.get_by_role("heading", name="Recipients do not see it yet")).to_be_visible()
    visitor.require_accessible(schemes=("light",))
    page.get_by_role("button", name="Object").click()
    expect(page.get_by_text("Your objection is on record")).to_be_visible()
    assert publish_release.show_release(service, partnership, asked["id"])["status"] == "OBJECTED"


def test_an_owner_compares_what_policies_would_publish_before_approving(visit: Visit, region: Region) -> None:
    visitor = visit(AGENCY)
    page = visitor.open(f"/agency/agreements/{AGREEMENT}")
    page.get_by_role("link", name="What would this publish?").click()
    expect(page.get_by_label("Graduated from")).to_have_value("2020-21")
    visitor.require_accessible(schemes=("light",))
    page.get_by_label("20", exact=True).check()
    page.get_by_role("button", name="Preview").click()
    # It appears in place when it is made.
    expect(page.get_by_role("heading", name="How to read this")).to_be_visible()
    expect(page.get_by_role("img", name="Graduates in groups whose rate would be shown")).to_be_visible()
    rows = page.get_by_role("row").all_inner_texts()[1:]
    assert [row.split()[:3] for row in rows] == [["10", "1", "1"], ["15", "1", "1"], ["20", "1", "1"]]
    shares = [float(row.split()[3]) for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]
    visitor.require_accessible()
    visitor.shoot("agency-preview", height=1000)
    page.set_viewport_size({"width": PHONE, "height": 900})
    visitor.require_accessible(schemes=("dark",))
    # Nobody who asks for figures has such a page, and the log says that it was looked at.
    path = page.url.removeprefix(region.url)
    for other in ("partnership", OTHER, "operator"):
        visit(other).open(path, expect=404)
    headers = {"Authorization": f"Bearer {region.api_keys['auditor']}"}
    lines = httpx.get(f"{region.url}/v1/log/entries", headers=headers).text.splitlines()
    logged = [entry for entry in map(json.loads, lines) if entry["kind"] == "release.previewed"]
    assert AGENCY in {entry["actor"] for entry in logged}


def test_a_preview_without_scripts_renews_itself_and_refuses_on_the_form(
    visit: Visit, region: Region
) -> None:
    visitor = visit("kentucky-education", scripts=False, width=PHONE)
    visitor.expected.add(422)
    page = visitor.open(f"/agency/agreements/{AGREEMENT}/preview")
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("PREVIEW_INVALID")).to_be_visible()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_label("The first policy")).to_contain_text("of graduates")
