"""Statements of data owners, signed offline over the version that was downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from crypto.agency.cli import app
from crypto.canonical import digest_of
from crypto.signatures import PublicKey, SigningKey


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A downloaded version and a signing key."""
    document = {"id": "region", "purpose": "To learn."}
    version = {"version": 2, "hash": digest_of(document), "document": document}
    (tmp_path / "region-v2.json").write_text(json.dumps(version, indent=2))
    SigningKey.generate().save(tmp_path / "signing.json")
    return tmp_path


def sign(folder: Path, decision: str = "approve") -> Any:
    arguments = [
        "agreement", "sign", folder / "region-v2.json", "--to", decision, "--organization", "oh-education",
        "--signing-key", folder / "signing.json", "--out", folder / "signed.json", "--json",
    ]  # fmt: skip
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("decision", ["approve", "revoke"])
def test_a_signed_statement_names_what_was_read_and_is_good_for_its_purpose_only(
    folder: Path, decision: str
) -> None:
    result = sign(folder, decision)
    assert result.exit_code == 0, result.output
    signed = json.loads((folder / "signed.json").read_text())
    version = json.loads((folder / "region-v2.json").read_text())
    assert signed["document"] == {
        "agreement": "region",
        "version": 2,
        "hash": version["hash"],
        "organization": "oh-education",
    }
    key: PublicKey = SigningKey.load(folder / "signing.json").public
    purposes = {"approve": "agreement-approval", "revoke": "agreement-revocation"}
    key.verify(purposes[decision], signed["document"], signed["signature"])
    other = purposes["revoke" if decision == "approve" else "approve"]
    with pytest.raises(Exception, match="SIGNATURE_INVALID"):
        key.verify(other, signed["document"], signed["signature"])


def test_a_document_that_is_not_the_one_with_that_hash_is_not_signed(folder: Path) -> None:
    path = folder / "region-v2.json"
    path.write_text(path.read_text().replace("To learn.", "To sell."))
    result = sign(folder)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["code"] == "HASH_MISMATCH"
    assert not (folder / "signed.json").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": true}', '{"version": 1, "document": {}}'])
def test_what_is_no_version_is_not_signed(folder: Path, text: str) -> None:
    (folder / "region-v2.json").write_text(text)
    assert json.loads(sign(folder).stdout)["code"] == "VERSION_MALFORMED"


def test_a_statement_that_is_there_is_never_overwritten(folder: Path) -> None:
    assert sign(folder).exit_code == 0
    before = (folder / "signed.json").read_bytes()
    assert json.loads(sign(folder).stdout)["code"] == "FILE_EXISTS"
    assert (folder / "signed.json").read_bytes() == before
