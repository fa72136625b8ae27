"""The agency's wheel, built from its folder alone, holds what it needs and needs nothing heavy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

CRYPTO = Path(__file__).parents[2] / "crypto"
ALLOWED = {"cryptography", "httpx", "numpy", "pyarrow", "rich", "typer"}


@pytest.mark.slow
def test_wheel_when_built_from_the_folder_alone_holds_the_program_with_its_data(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(CRYPTO, source, ignore=shutil.ignore_patterns("__pycache__"))
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    expected = {
        f"crypto/{path.relative_to(CRYPTO).as_posix()}"
        for path in CRYPTO.rglob("*")
        if path.suffix in {".py", ".csv", ".json", ".typed"} or path.name == "py.typed"
    }
    assert {name for name in names if name.startswith("crypto/")} == expected
    assert {name.split("/")[0].split("-")[0] for name in names} == {"crypto", "cohortlink_agency"}
    assert not any("test" in name for name in names)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import crypto, crypto.agency.cli, crypto.agency.encode, crypto.agency.submit, crypto.log.verify\n"
        "import crypto.envelope\n"
        "from crypto.encoding.profile import default_profile\n"
        "from crypto.encoding.profile_families import FAMILIES\n"
        "assert crypto.__file__.startswith(sys.argv[1])\n"
        "assert all(default_profile(f).fingerprint for f in FAMILIES)\n"
        "heavy = {'app', 'linkage', 'fastapi', 'sqlalchemy', 'numba', 'pandas', 'scipy', 'duckdb', 'dbos'}\n"
        "print(sorted(heavy & {m.split('.')[0] for m in sys.modules}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "site")],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert result.stdout.strip() == "[]"


LARGEST_DOWNLOAD = 120_000_000  # bytes, with all dependencies
#: What a security officer would ask about; the program must not bring it along.
UNWANTED = {"fastapi", "sqlalchemy", "numba", "llvmlite", "pandas", "scipy", "duckdb", "dbos", "uvicorn"}


@pytest.mark.slow
def test_wheel_when_installed_in_a_clean_environment_is_light_and_works(tmp_path: Path) -> None:
    source, downloads = tmp_path / "source", tmp_path / "downloads"
    shutil.copytree(CRYPTO, source, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = [str(programs / "python"), "-m", "pip", "--disable-pip-version-check"]
    # Wheels only: a compiler is never needed.
    fetch = [*pip, "download", "--only-binary", ":all:", "--dest", str(downloads), str(wheel)]
    subprocess.run(fetch, check=True, capture_output=True)
    offline = ["install", "--no-index", "--find-links", str(downloads), "cohortlink-agency"]
    subprocess.run([*pip, *offline], check=True, capture_output=True)
    assert sum(path.stat().st_size for path in downloads.iterdir()) <= LARGEST_DOWNLOAD
    names = {path.name.split("-")[0].lower() for path in downloads.iterdir()}
    assert not names & UNWANTED
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "people.csv").write_text("id,first_name,last_name,date_of_birth\n1,Ann,Smith,1990-02-03\n")

    def agency(*arguments: str) -> str:
        command = [str(programs / "cohortlink-agency"), *arguments]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout

    agency("secret", "new", "--agreement", "cin", "--out", "secret.json")
    agency("profile", "new", "--family", "field-level", "--out", "profile.json")
    agency("encode", "--profile", "profile.json", "--secret", "secret.json", "--people", "people.csv",
           "--id", "id", "--out", "package")  # fmt: skip
    assert "valid: 1 persons" in agency("validate", "package")


def test_wheel_when_described_asks_for_nothing_heavy_and_names_every_package() -> None:
    project = tomllib.loads((CRYPTO / "pyproject.toml").read_text("utf-8"))
    assert {line.split(">=")[0] for line in project["project"]["dependencies"]} == ALLOWED
    folders = {path.parent.relative_to(CRYPTO.parent) for path in CRYPTO.rglob("*.py")}
    data = {path.parent.relative_to(CRYPTO.parent) for path in CRYPTO.rglob("*.json")}
    packages = set(project["tool"]["setuptools"]["packages"])
    assert packages == {".".join(folder.parts) for folder in folders | data}
