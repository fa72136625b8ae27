"""Settings by environment (`COHORTLINK_*`), with one default for all of them: a data folder.

The embedded default needs nothing but `COHORTLINK_DATA`: the database, the blobs and the key files
live below it. docs/operations.md lists every variable.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from app.errors import ServiceError

PREFIX = "COHORTLINK_"
DEFAULT_DATA = "cohortlink-data"
DEFAULT_LOG_ORIGIN = "cohortlink.invalid/log"
PART_SIZE = 4 * 1024 * 1024
RATE_LIMIT = 100
#: Path under which the identity provider sends people back.
CALLBACK = "/sign-in/callback"


@dataclass(frozen=True)
class OidcClient:
    """This service as the provider knows it, for people who sign in on the pages.

    Attributes
    ----------
    id : str
    redirect_uri : str
        Where the provider sends people back to: this service's address and :data:`CALLBACK`.
    secret : str or None
        None for a public client, which has PKCE alone.
    """

    id: str
    redirect_uri: str
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Oidc:
    """An OpenID Connect provider, and which claims say who somebody is.

    Attributes
    ----------
    issuer : str
        Exactly as in `iss`; https, or http on this machine.
    audience : str
        This service, as the provider calls it in `aud`.
    organization_claim, role_claim : str
        Claims that hold an organization's id and a role.
    client : OidcClient or None
        None: the provider's tokens are for programs alone, people show API keys.
    """

    issuer: str
    audience: str
    organization_claim: str = "cohortlink_organization"
    role_claim: str = "cohortlink_role"
    client: OidcClient | None = None


@dataclass(frozen=True)
class Settings:
    """Where things are.

    Attributes
    ----------
    data : Path
        Folder of the embedded default: database, blobs, keys.
    database_url : str
        SQLAlchemy URL; `sqlite:///…` or `postgresql+psycopg://…`.
    blob_url : str
        `file:///…`; object stores later.
    keys : Path
        Folder of the keyrings (`encodings.json`, `facts.json`, `links.json`), of the log's signing
        key (`log.json`) and of the secret of complementary choices (`release.json`).
    log_origin : str
        Name of the log in its checkpoints (C2SP signed note); a schema-less URL by convention.
    part_size : int
        Bytes per uploaded part.
    oidc : Oidc or None
        The identity provider whose access tokens are accepted beside API keys.
    rate_limit : int
        Requests per second and credential, on average; 0 for no limit.
    trusted_proxies : tuple of str
        Addresses and networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    traces : str or None
        Where an OpenTelemetry collector takes spans (OTLP over HTTP); None for no traces.
    migrate_on_start : bool
        Whether `serve` and `worker` bring the schema up to date. Default: only on SQLite.
    """

    data: Path
    database_url: str
    blob_url: str
    keys: Path
    log_origin: str = DEFAULT_LOG_ORIGIN
    part_size: int = PART_SIZE
    migrate_on_start: bool = True
    oidc: Oidc | None = None
    rate_limit: int = RATE_LIMIT
    trusted_proxies: tuple[str, ...] = ("127.0.0.1",)
    traces: str | None = None

    @classmethod
    def for_data(
        cls,
        data: Path,
        *,
        database_url: str | None = None,
        blob_url: str | None = None,
        keys: Path | None = None,
        log_origin: str | None = None,
        part_size: int | None = None,
    ) -> Settings:
        """Settings of a data folder; what is not given lies below it."""
        root = data.expanduser().resolve()
        url = database_url or f"sqlite:///{root / 'cohortlink.db'}"
        return cls(
            data=root,
            database_url=url,
            blob_url=blob_url or (root / "blobs").as_uri(),
            keys=keys or root / "keys",
            log_origin=log_origin or DEFAULT_LOG_ORIGIN,
            part_size=part_size or PART_SIZE,
            migrate_on_start=url.startswith("sqlite"),
        )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, *, data: Path | None = None) -> Settings:
        """Settings of the environment; `data` (of a command line) outranks `COHORTLINK_DATA`.

        Raises
        ------
        ServiceError
            `SETTINGS_INVALID` if a variable is unknown or unreadable: a misspelt name must not
            silently leave the default in place.
        """
        env = os.environ if environ is None else environ
        given = {key[len(PREFIX) :]: value for key, value in env.items() if key.startswith(PREFIX)}
        unknown = sorted(set(given) - _KNOWN)
        if unknown:
            raise ServiceError(
                "SETTINGS_INVALID", 500, f"Unknown setting {PREFIX}{unknown[0]}; see docs/operations.md."
            )
        part_size = given.get("PART_SIZE")
        if part_size is not None and not (part_size.isdigit() and 65_536 <= int(part_size) <= 2**30):
            raise ServiceError("SETTINGS_INVALID", 500, f"{PREFIX}PART_SIZE must be 65536 to 1073741824.")
        rate = given.get("RATE_LIMIT") or str(RATE_LIMIT)
        if not (rate.isdigit() and int(rate) <= 1_000_000):
            raise ServiceError("SETTINGS_INVALID", 500, f"{PREFIX}RATE_LIMIT must be 0 to 1000000.")
        traces = given.get("TRACES") or None
        if traces is not None and not traces.startswith(("https://", "http://")):
            raise ServiceError("SETTINGS_INVALID", 500, f"{PREFIX}TRACES must be an http(s) address.")
        keys = given.get("KEYS")
        settings = cls.for_data(
            data or Path(given.get("DATA") or DEFAULT_DATA),
            database_url=given.get("DATABASE_URL") or None,
            blob_url=given.get("BLOB_URL") or None,
            keys=Path(keys).expanduser().resolve() if keys else None,
            log_origin=given.get("LOG_ORIGIN") or None,
            part_size=int(part_size) if part_size else None,
        )
        proxies = _proxies(given.get("TRUSTED_PROXIES"), settings.trusted_proxies)
        return replace(
            settings, oidc=_oidc(given), rate_limit=int(rate), trusted_proxies=proxies, traces=traces
        )

    @property
    def embedded(self) -> bool:
        """Whether the database is the embedded SQLite file."""
        return self.database_url.startswith("sqlite")

    def keyring(self, plane: str) -> Path:
        """Keyring file of a plane (`encodings`, `facts` or `links`)."""
        return self.keys / f"{plane}.json"

    @property
    def log_key(self) -> Path:
        """Signing key of the log, which also signs receipts and certificates."""
        return self.keys / "log.json"

    @property
    def release_secret(self) -> Path:
        """Secret of the randomised complementary choices."""
        return self.keys / "release.json"

    def to_environ(self) -> dict[str, str]:
        """Variables that give a child process these settings."""
        return {
            PREFIX + "DATA": str(self.data),
            PREFIX + "DATABASE_URL": self.database_url,
            PREFIX + "BLOB_URL": self.blob_url,
            PREFIX + "KEYS": str(self.keys),
            PREFIX + "LOG_ORIGIN": self.log_origin,
            PREFIX + "PART_SIZE": str(self.part_size),
            **({PREFIX + "TRACES": self.traces} if self.traces else {}),
        }


def _proxies(given: str | None, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    if given is None:
        return otherwise
    named = tuple(part.strip() for part in given.split(",") if part.strip())
    try:
        for name in named:
            # `*` is refused: then anybody who reaches the port says who he is.
            ipaddress.ip_network(name)
    except ValueError:
        raise ServiceError(
            "SETTINGS_INVALID", 500, f"{PREFIX}TRUSTED_PROXIES must be addresses or networks, with commas."
        ) from None
    return named


def _oidc(given: Mapping[str, str]) -> Oidc | None:
    issuer, audience = given.get("OIDC_ISSUER"), given.get("OIDC_AUDIENCE")
    client = _oidc_client(given)
    if not issuer and not audience and client is None:
        return None
    if not issuer or not audience:
        raise ServiceError("SETTINGS_INVALID", 500, f"{PREFIX}OIDC_ISSUER and _AUDIENCE go together.")
    names = {
        field: given[key]
        for field, key in (
            ("organization_claim", "OIDC_ORGANIZATION_CLAIM"),
            ("role_claim", "OIDC_ROLE_CLAIM"),
        )
        if given.get(key)
    }
    return Oidc(issuer, audience, **names, client=client)


def _oidc_client(given: Mapping[str, str]) -> OidcClient | None:
    name, back = given.get("OIDC_CLIENT_ID"), given.get("OIDC_REDIRECT_URI")
    file = given.get("OIDC_CLIENT_SECRET_FILE")
    if not (name or back or file):
        return None
    if not name or not back:
        raise ServiceError("SETTINGS_INVALID", 500, f"{PREFIX}OIDC_CLIENT_ID and _REDIRECT_URI go together.")
    parts = urlsplit(back)
    local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not (parts.scheme == "https" or local) or parts.path != CALLBACK or parts.query or parts.fragment:
        raise ServiceError(
            "SETTINGS_INVALID", 500, f"{PREFIX}OIDC_REDIRECT_URI must be https://this-service{CALLBACK}."
        )
    try:
        secret = Path(file).expanduser().read_text(encoding="utf-8").strip() if file else None
    except (OSError, ValueError):
        raise ServiceError(
            "SETTINGS_INVALID", 500, f"{PREFIX}OIDC_CLIENT_SECRET_FILE cannot be read."
        ) from None
    return OidcClient(name, back, secret or None)


_KNOWN = frozenset(
    {
        "DATA",
        "DATABASE_URL",
        "BLOB_URL",
        "KEYS",
        "LOG_ORIGIN",
        "PART_SIZE",
        "OIDC_ISSUER",
        "OIDC_AUDIENCE",
        "OIDC_ORGANIZATION_CLAIM",
        "OIDC_ROLE_CLAIM",
        "OIDC_CLIENT_ID",
        "OIDC_CLIENT_SECRET_FILE",
        "OIDC_REDIRECT_URI",
        "RATE_LIMIT",
        "TRACES",
        "TRUSTED_PROXIES",
        # Read where a run links (`linkage.distributed`), from the same environment.
        "DASK_ADDRESS",
        "DASK_CA",
        "DASK_CERT",
        "DASK_KEY",
    }
)
