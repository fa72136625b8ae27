"""What every story of the campaign starts from: made once, copied for each."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from sqlalchemy.engine import make_url

from app.auth import Role
from app.flows import organizations, sign_agreement
from app.flows.organizations import authenticate
from app.flows.service import open_service
from app.settings import Settings
from crypto.signatures import SigningKey
from tests import postgres
from tests.faults.story import Cast
from tests.flows.linkage_world import PARTNERSHIP, Packages, agreement_document


def set_up(settings: Settings, packages: Packages) -> Cast:
    """Register everybody and put the agreement before its owners; nobody has approved yet."""
    service = open_service(settings)
    try:
        _, operator_key = organizations.bootstrap(service, "operator", "The operator")
        operator = authenticate(service, f"Bearer {operator_key}")
        keys, signers = {"operator": operator_key}, {}
        organizations.create_organization(service, operator, PARTNERSHIP, "The partnership")
        made = organizations.create_api_key(service, operator, PARTNERSHIP, Role.PARTNERSHIP, None)
        keys[PARTNERSHIP] = made["api_key"]
        for slug in packages.folders:
            organizations.create_organization(service, operator, slug, slug)
            made = organizations.create_api_key(service, operator, slug, Role.AGENCY, None)
            keys[slug], signers[slug] = made["api_key"], SigningKey.generate()
            organizations.register_public_key(service, operator, slug, signers[slug].public.to_text())
        document = agreement_document(packages)
        partnership = authenticate(service, f"Bearer {keys[PARTNERSHIP]}")
        sign_agreement.propose(service, partnership, document)
        sign_agreement.review(service, partnership, str(document["id"]))
        return Cast(keys, signers, dict(packages.folders), document)
    finally:
        service.close()


class Stage:
    """A service under review, to be copied: on SQLite by its folder, on PostgreSQL by its database too."""

    def __init__(self, folder: Path, packages: Packages, cluster: postgres.Cluster | None = None) -> None:
        self._cluster = cluster
        url = cluster.new_database() if cluster else None
        self.settings = replace(
            Settings.for_data(folder, database_url=url, part_size=65_536), migrate_on_start=True
        )
        self.cast = set_up(self.settings, packages)

    def copy(self, folder: Path) -> Settings:
        """A fresh copy in a new folder."""
        shutil.copytree(self.settings.data, folder)
        url = None
        if self._cluster is not None:
            url = self._cluster.new_database(template=str(make_url(self.settings.database_url).database))
        return Settings.for_data(folder, database_url=url, part_size=65_536)
