"""Settings: one data folder is enough, and a misspelt name is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import ServiceError
from app.settings import Settings


def test_a_data_folder_alone_gives_the_embedded_default(tmp_path: Path) -> None:
    settings = Settings.from_env({"COHORTLINK_DATA": str(tmp_path)})
    assert settings.database_url == f"sqlite:///{tmp_path}/cohortlink.db"
    assert settings.embedded and settings.migrate_on_start
    assert settings.keyring("facts") == tmp_path / "keys" / "facts.json"


def test_the_command_line_outranks_the_environment(tmp_path: Path) -> None:
    settings = Settings.from_env({"COHORTLINK_DATA": "/elsewhere"}, data=tmp_path)
    assert settings.data == tmp_path


def test_settings_survive_the_way_to_a_child_process(tmp_path: Path) -> None:
    settings = Settings.for_data(tmp_path, database_url="postgresql+psycopg://h/d", log_origin="log.example")
    assert Settings.from_env(settings.to_environ()) == settings


@pytest.mark.parametrize("name", ["COHORTLINK_DATABASE", "COHORTLINK_data"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ServiceError, match="SETTINGS_INVALID"):
        Settings.from_env({name: "x"})


@pytest.mark.parametrize("size", ["1", "big", "-5"])
def test_a_bad_part_size_is_refused(size: str) -> None:
    with pytest.raises(ServiceError, match="PART_SIZE"):
        Settings.from_env({"COHORTLINK_PART_SIZE": size})
