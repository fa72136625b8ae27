"""The house stays as it was drawn: rooms, lock, secrets, and what a checkout may contain."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {"app", "linkage", "crypto", "migrations", "tests", "benchmarks", "docs", "deploy"}


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in listing.stdout.splitlines() if (ROOT / line).is_file()]


def test_import_contracts_when_linted_are_kept() -> None:
    result = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


def test_crypto_when_imported_alone_loads_nothing_of_ours_nor_anything_heavy() -> None:
    code = (
        "import sys, crypto.agency.cli\n"
        "heavy = {'app', 'linkage', 'fastapi', 'sqlalchemy', 'numba', 'pandas', 'scipy', 'duckdb', 'dbos'}\n"
        "print(sorted(heavy & {m.split('.')[0] for m in sys.modules}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_lock_when_read_holds_a_hash_for_every_package_and_no_address() -> None:
    for lock in (ROOT / "requirements.lock", ROOT / "benchmarks" / "requirements.lock"):
        text = lock.read_text()
        assert "http:" not in text
        assert "https:" not in text
        assert "--index-url" not in text
        entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.M).strip())
        assert len(entries) > 20
        assert [e.split()[0] for e in entries if "--hash=sha256:" not in e] == []


def test_lock_when_compared_with_the_project_names_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [
        d for extra in project["optional-dependencies"].values() for d in extra
    ]
    locked = {
        m.group(1) for m in re.finditer(r"^([a-z0-9_.-]+)==", (ROOT / "requirements.lock").read_text(), re.M)
    }
    names = {re.split(r"[\[<>=!~ ]", d)[0].lower().replace("_", "-") for d in wanted}
    assert sorted(names - locked) == []


def test_tracked_files_when_searched_name_no_path_of_a_machine() -> None:
    trace = re.compile(r"(?<![\w.])/(?:work|root|farm)/|/tmp/bash_jobs|\.pyenv")
    offenders = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        if path.suffix not in {".lock", ".png", ".parquet"} and path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if trace.search(line)
    ]
    assert offenders == []


def test_first_party_imports_when_listed_stay_inside_their_room() -> None:
    """Import-linter sees only app, linkage and crypto; migrations and the agency wheel are checked here."""
    for path in tracked("migrations/*.py", "migrations/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and node.level == 0
                else []
            )
            assert not {n.split(".")[0] for n in names} & {"app", "linkage", "crypto"}, path


def test_top_level_when_listed_holds_only_the_rooms_of_the_house() -> None:
    folders = {p.relative_to(ROOT).parts[0] for p in tracked() if len(p.relative_to(ROOT).parts) > 1}
    assert folders - {".ci"} <= TOP_LEVEL


def test_continuous_integration_when_read_runs_exactly_make_test() -> None:
    lines = [line.strip() for line in (ROOT / ".ci" / "run").read_text().splitlines()]
    assert lines[-1] == "make test"
