"""A throw-away S3-compatible server on loopback, in this process."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from moto.server import ThreadedMotoServer

SECRETS = {
    "AWS_ACCESS_KEY_ID": "tests",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_REGION": "us-east-1",
}


@contextmanager
def running_server() -> Iterator[str]:
    """Run the server; its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


@contextmanager
def credentials(endpoint: str) -> Iterator[None]:
    """The variables by which S3 programs find this server."""
    wanted = {**SECRETS, "AWS_ENDPOINT_URL": endpoint}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def new_bucket(endpoint: str) -> str:
    """Make an empty bucket; a blob URL with a prefix in it."""
    name = "t-" + secrets.token_hex(6)
    # The server checks no signature: any that names a region and the service will do.
    scope = "tests/20260101/us-east-1/s3/aws4_request"
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        "x-amz-date": "20260101T000000Z",
    }
    httpx.put(f"{endpoint}/{name}", headers=headers).raise_for_status()
    return f"s3://{name}/cohort/link"
