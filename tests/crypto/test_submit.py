"""Submission over a real socket to a small server that speaks the protocol and misbehaves on demand."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crypto.agency import service as service_module
from crypto.agency.receipt import verify_receipt
from crypto.agency.submit import submit
from crypto.canonical import canonical_json, digest_of
from crypto.errors import (
    CohortlinkError,
    InputError,
    KeyMaterialError,
    LogError,
    PackageError,
    SignatureError,
)
from crypto.log.checkpoint import vkey
from crypto.log.keychain import Keychain, change_key
from crypto.signatures import PublicKey, SigningKey
from crypto.wire import Coverage, FileEntry, Manifest, file_digest

ORIGIN = "log.cohortlink.example"
LOG_KEY = SigningKey(bytes(range(32)))
AGENCY = SigningKey(bytes(range(1, 33)))
THIEF = SigningKey(bytes(range(2, 34)))
API_KEY = "clk_" + "a" * 43
PART = 700


class Protocol:
    """The service's side: what it stored, what it was asked, and how it is to misbehave."""

    def __init__(self) -> None:
        self.manifest: dict[str, Any] | None = None
        self.parts: dict[tuple[str, int], bytes] = {}
        self.calls: list[str] = []
        self.completions = 0
        self.state = "UPLOADING"
        self.supersedes: str | None = None
        self.faults: list[tuple[str, Any]] = []
        self.keys = Keychain(vkey(ORIGIN, LOG_KEY.public)).to_text()
        self.receipt_key = LOG_KEY
        self.change_receipt: dict[str, Any] = {}
        self.change_answer: dict[str, Any] = {}

    def fault(self, pattern: str, kind: Any, times: int = 1) -> None:
        """Answer the next calls that match with a status, or "reset" or "lost" (done, but not told)."""
        self.faults += [(pattern, kind)] * times

    def next_fault(self, call: str) -> Any:
        for place, (pattern, kind) in enumerate(self.faults):
            if re.fullmatch(pattern, call):
                del self.faults[place]
                return kind
        return None

    def answer(self, call: str, body: bytes, headers: Any) -> tuple[int, Any]:
        if call != "GET /v1/log/keys" and headers.get("Authorization") != f"Bearer {API_KEY}":
            return problem(401, "UNAUTHENTICATED")
        if call == "GET /v1/log/keys":
            return 200, self.keys
        if call == "POST /v1/agreements/demo/batches":
            return self.begin(json.loads(body))
        if match := re.fullmatch(r"PUT /v1/batches/b-1/files/([^/]+)/parts/(\d+)", call):
            return self.put(match[1], int(match[2]), body, headers.get("Content-Digest", ""))
        if call == "POST /v1/batches/b-1/completion":
            return self.complete()
        return problem(404, "NOT_FOUND")

    def begin(self, signed: dict[str, Any]) -> tuple[int, Any]:
        AGENCY.public.verify("batch-manifest", signed["document"], signed["signature"])
        again = self.manifest is not None
        self.manifest = signed["document"]
        files = [
            {
                "name": item["name"],
                "size": item["size"],
                "parts": -(-item["size"] // PART),
                "received": sorted(n for name, n in self.parts if name == item["name"]),
            }
            for item in self.manifest["files"]
        ]
        answer = {"id": "b-1", "state": self.state, "part_size": PART, "files": files}
        if not again:
            self.supersedes = signed.get("supersedes")
        if self.supersedes is not None:
            answer["supersedes"] = self.supersedes
        return (200 if again else 201), answer | self.change_answer

    def put(self, name: str, number: int, part: bytes, digest: str) -> tuple[int, Any]:
        if digest != f"sha-256=:{base64.b64encode(hashlib.sha256(part).digest()).decode()}:":
            return problem(422, "DIGEST_MISMATCH")
        self.parts[name, number] = part
        return 204, None

    def complete(self) -> tuple[int, Any]:
        assert self.manifest is not None
        for item in self.manifest["files"]:
            content = b"".join(part for (name, _), part in sorted(self.parts.items()) if name == item["name"])
            if hashlib.sha256(content).hexdigest() != item["sha256"]:
                return problem(409, "PARTS_MISSING")
        self.completions += 1
        self.state = "ACCEPTED"
        receipt = {
            "type": "cohortlink-receipt/1",
            "batch": "b-1",
            "agreement": "demo",
            "organization": "oh-ed",
            "manifest_sha256": digest_of(self.manifest),
            "files": [
                {key: item[key] for key in ("name", "sha256", "rows")} for item in self.manifest["files"]
            ],
            "accepted_at": "2026-11-22T09:00:00Z",
            "log_index": 4,
            "log_leaf": "00" * 32,
        } | self.change_receipt
        signed = {"document": receipt, "signature": self.receipt_key.sign("receipt", receipt)}
        return 200, {"id": "b-1", "state": "ACCEPTED", "receipt": signed}


def problem(status: int, code: str) -> tuple[int, Any]:
    return status, {
        "type": "about:blank",
        "title": code,
        "status": status,
        "code": code,
        "detail": f"it is {code}",
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *args: object) -> None:
        pass

    def reset(self) -> None:
        """Cut the connection hard, as a broken network does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def handle_any(self) -> None:
        protocol: Protocol = self.server.protocol
        call = f"{self.command} {self.path}"
        length = int(self.headers.get("Content-Length", 0))
        fault = protocol.next_fault(call)
        if fault == "reset":
            self.rfile.read(length // 2)
            self.reset()
            return
        body = self.rfile.read(length)
        with self.server.lock:
            protocol.calls.append(call)
            status, answer = (
                problem(fault, "INJECTED")
                if isinstance(fault, int)
                else protocol.answer(call, body, self.headers)
            )
        if fault == "lost":
            self.reset()
            return
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        if status == 204:
            data = b""
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = handle_any  # noqa: N815


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that the test cuts are no news."""


@pytest.fixture
def protocol() -> Protocol:
    return Protocol()


@pytest.fixture
def url(protocol: Protocol) -> Iterator[str]:
    server = QuietServer(("127.0.0.1", 0), Handler)
    server.protocol = protocol  # type: ignore[attr-defined]
    server.lock = threading.Lock()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small true package, with the private files beside it that must never travel."""
    folder = tmp_path / "package"
    folder.mkdir()
    refs = [f"{n:032x}" for n in range(40)]
    encodings = pa.table(
        {"record_ref": refs, "name": pa.array([bytes([n]) * 8 for n in range(40)], pa.binary(8))}
    )
    wages = pa.table({"record_ref": refs, "wages": [str(n) for n in range(40)]})
    files = []
    for name, facts, table in (("encodings.parquet", None, encodings), ("facts-wage.parquet", "wage", wages)):
        pq.write_table(table, folder / name, compression="none")
        size, digest = file_digest(folder / name)
        files.append(FileEntry(name, "facts" if facts else "encodings", facts, 40, size, digest))
    manifest = Manifest(
        "demo",
        1,
        "ab" * 32,
        "cd" * 32,
        date(2026, 11, 22),
        40,
        tuple(files),
        Coverage(40, 40, 38),
        "cohortlink-agency/0.1.0",
    )
    (folder / "manifest.json").write_bytes(canonical_json(manifest.to_document()))
    (folder / "crosswalk.csv").write_text("id,record_ref\nSECRET-ID,00\n")
    report = {"manifest_sha256": digest_of(manifest.to_document()), "private": "SECRET-ID"}
    (folder / "report.json").write_text(json.dumps(report))
    return folder


class Clock:
    """Records the waits between attempts instead of waiting."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


def send(package: Path, url: str, clock: Clock | None = None, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"agreement": "demo", "api_key": API_KEY, "signing_key": AGENCY} | changes
    known = {"log_key": package.parent / "log.vkey"}
    return submit(package, url, sleep=clock or Clock(), **(known | arguments))


def puts(protocol: Protocol) -> list[str]:
    return [call for call in protocol.calls if call.startswith("PUT")]


def test_submit_whole_package_arrives_with_a_verified_receipt_and_progress(package, url, protocol):
    steps: list[tuple[str, int, int]] = []
    receipt = send(package, url, progress=lambda *step: steps.append(step))
    for name in ("encodings.parquet", "facts-wage.parquet"):
        arrived = b"".join(part for (file, _), part in sorted(protocol.parts.items()) if file == name)
        assert arrived == (package / name).read_bytes()
    assert len(protocol.parts) > 3
    assert json.loads((package / "receipt.json").read_text()) == receipt
    total = sum((package / name).stat().st_size for name in ("encodings.parquet", "facts-wage.parquet"))
    assert steps[0] == ("upload", 0, total)
    assert steps[-1] == ("upload", total, total)
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)


def test_submit_private_files_beside_the_package_never_travel(package, url, protocol):
    send(package, url)
    sent = b"".join(protocol.parts.values()) + canonical_json(protocol.manifest)
    assert b"SECRET-ID" not in sent
    assert {name for name, _ in protocol.parts} == {"encodings.parquet", "facts-wage.parquet"}


@pytest.mark.parametrize("address", ["{}/", "{}/v1", "{}/v1/"])
def test_submit_address_with_or_without_version_reaches_the_same_service(package, url, protocol, address):
    send(package, address.format(url))
    assert protocol.completions == 1


@pytest.mark.parametrize("kind", ["reset", "lost", 500, 502, 503, 504, 429])
@pytest.mark.parametrize(
    "pattern", ["POST .*/batches", "PUT .*/parts/1", "POST .*/completion", "GET .*/log/keys"]
)
def test_submit_passing_fault_at_any_call_is_overcome(package, url, protocol, pattern, kind):
    protocol.fault(pattern, kind, times=2)
    clock = Clock()
    send(package, url, clock)
    assert protocol.faults == []
    assert len(clock.waits) == 2
    assert (package / "receipt.json").is_file()


def test_submit_lasting_fault_is_given_up_with_growing_waits_and_says_how_to_resume(package, url, protocol):
    protocol.fault("PUT .*/facts-wage.parquet/parts/1", "reset", times=50)
    clock = Clock()
    with pytest.raises(CohortlinkError) as caught:
        send(package, url, clock)
    assert caught.value.code == "SERVICE_UNREACHABLE"
    assert "run the same command again to resume" in caught.value.detail
    assert len(clock.waits) == service_module.ATTEMPTS - 1
    assert clock.waits[-1] > 4 * clock.waits[0]
    assert not (package / "receipt.json").exists()


def test_submit_run_again_after_a_fault_sends_only_what_is_missing(package, url, protocol):
    protocol.fault("PUT .*/facts-wage.parquet/parts/1", 503, times=service_module.ATTEMPTS)
    with pytest.raises(CohortlinkError, match="SERVICE_FAILED"):
        send(package, url)
    there = set(protocol.parts)
    assert there
    protocol.calls.clear()
    steps: list[tuple[str, int, int]] = []
    send(package, url, progress=lambda *step: steps.append(step))
    assert steps[0][1] == sum(len(protocol.parts[part]) for part in there)
    again = {(call.split("/")[5], int(call.split("/")[7])) for call in puts(protocol)}
    assert again.isdisjoint(there)
    assert again | there == set(protocol.parts)


def test_submit_nobody_listening_is_a_clear_error(package):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(CohortlinkError, match=r"SERVICE_UNREACHABLE.*resume"):
            send(package, f"http://127.0.0.1:{port}")


def test_submit_accepted_batch_again_sends_nothing_and_returns_the_same_receipt(package, url, protocol):
    first = send(package, url)
    protocol.calls.clear()
    assert send(package, url) == first
    assert puts(protocol) == []
    assert not (package / "receipt.1.json").exists()


def test_submit_that_names_the_batch_whose_place_it_takes_says_so_also_when_resumed(package, url, protocol):
    send(package, url, supersedes="b-0")
    assert protocol.supersedes == "b-0"
    assert send(package, url, supersedes="b-0") == send(package, url)


def test_submit_of_a_batch_that_was_begun_without_taking_a_place_is_refused_when_it_should(
    package, url, protocol
):
    send(package, url)
    protocol.calls.clear()
    with pytest.raises(PackageError, match="SUPERSEDES_OTHER"):
        send(package, url, supersedes="b-0")
    assert puts(protocol) == []


def test_submit_another_receipt_than_before_keeps_the_older_one(package, url, protocol):
    first = send(package, url)
    protocol.change_receipt = {"accepted_at": "2026-11-22T10:00:00Z"}
    second = send(package, url)
    assert json.loads((package / "receipt.1.json").read_text()) == first
    assert json.loads((package / "receipt.json").read_text()) == second


def test_submit_refusal_is_raised_at_once_with_the_services_code(package, url, protocol):
    clock = Clock()
    protocol.fault("POST .*/batches", 403)
    with pytest.raises(CohortlinkError) as caught:
        send(package, url, clock)
    assert caught.value.code == "INJECTED"
    assert clock.waits == []
    with pytest.raises(CohortlinkError, match="UNAUTHENTICATED"):
        send(package, url, api_key="clk_" + "b" * 43)


def test_submit_file_changed_after_encoding_is_refused_before_anything_is_sent(package, url, protocol):
    data = bytearray((package / "facts-wage.parquet").read_bytes())
    data[100] ^= 1
    (package / "facts-wage.parquet").write_bytes(data)
    with pytest.raises(PackageError, match="FILE_DIGEST"):
        send(package, url)
    assert protocol.calls == []


def test_submit_package_of_another_agreement_is_refused_before_anything_is_sent(package, url, protocol):
    with pytest.raises(PackageError, match="AGREEMENT_MISMATCH"):
        send(package, url, agreement="other")
    assert protocol.calls == []


@pytest.mark.parametrize("state", ["WITHDRAWN", "REJECTED", "DESTROYED", "SUPERSEDED", "\x1b[2J", None])
def test_submit_closed_batch_is_a_clear_error(package, url, protocol, state):
    protocol.change_answer = {"state": state}
    with pytest.raises(PackageError, match="BATCH_CLOSED") as caught:
        send(package, url)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        {"id": "../../log"},
        {"id": None},
        {"part_size": 0},
        {"part_size": True},
        {"part_size": 2**40},
        {"part_size": PART * 10},
        {"files": []},
        {"files": [{"name": "crosswalk.csv", "size": 1, "parts": 1, "received": []}]},
        {"files": "all"},
    ],
    ids=str,
)
def test_submit_answer_that_breaks_the_protocol_is_refused_and_nothing_is_sent(
    package, url, protocol, answer
):
    protocol.change_answer = answer
    with pytest.raises(CohortlinkError, match="SERVICE_ANSWER"):
        send(package, url)
    assert puts(protocol) == []


def test_submit_answer_with_parts_that_do_not_exist_is_refused(package, url, protocol):
    send(package, url)
    protocol.parts["encodings.parquet", 10_000] = b""
    protocol.state = "UPLOADING"
    with pytest.raises(CohortlinkError, match="SERVICE_ANSWER"):
        send(package, url)


def test_submit_receipt_signed_by_another_key_than_the_logs_is_refused_and_not_written(
    package, url, protocol
):
    protocol.receipt_key = THIEF
    with pytest.raises(SignatureError, match="SIGNATURE_WRONG_KEY"):
        send(package, url)
    assert not (package / "receipt.json").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"manifest_sha256": "00" * 32},
        {"agreement": "other"},
        {"files": []},
        {"files": [1]},
        {"files": [{"name": 1}]},
    ],
    ids=str,
)
def test_submit_receipt_for_another_batch_is_refused_although_signed(package, url, protocol, change):
    protocol.change_receipt = change
    with pytest.raises(SignatureError, match="RECEIPT_OTHER_BATCH"):
        send(package, url)
    assert not (package / "receipt.json").exists()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"type": "cohortlink-receipt/2"}, "RECEIPT_VERSION"),
        ({"log_index": "4"}, "RECEIPT_MALFORMED"),
        ({"batch": None}, "RECEIPT_MALFORMED"),
        ({"files": None}, "RECEIPT_MALFORMED"),
    ],
)
def test_submit_receipt_of_unknown_shape_is_refused(package, url, protocol, change, code):
    protocol.change_receipt = change
    with pytest.raises(SignatureError, match=code):
        send(package, url)


def test_submit_remembers_the_logs_key_and_sends_nothing_to_a_log_with_another(package, url, protocol):
    known = package.parent / "log.vkey"
    send(package, url)
    assert known.read_text() == vkey(ORIGIN, LOG_KEY.public) + "\n"
    protocol.keys = Keychain(vkey(ORIGIN, THIEF.public)).to_text()
    protocol.calls.clear()
    with pytest.raises(LogError, match="LOG_KEY_OTHER"):
        send(package, url)
    assert [call for call in protocol.calls if not call.startswith("GET")] == []
    assert known.read_text() == vkey(ORIGIN, LOG_KEY.public) + "\n"


def test_submit_follows_a_key_that_the_remembered_one_named(package, url, protocol):
    first = SigningKey.generate()
    known = package.parent / "log.vkey"
    known.write_text(vkey(ORIGIN, first.public) + "\n")
    change = change_key(40, ORIGIN, first, LOG_KEY.public)
    protocol.keys = Keychain(change.old, [change]).to_text()
    receipt = send(package, url)
    assert known.read_text().split() == [vkey(ORIGIN, key.public) for key in (first, LOG_KEY)]
    assert verify_receipt(package / "receipt.json", known.read_text()) == receipt["document"]
    forged = replace(change, signature=THIEF.sign("log-key", {"any": "thing"}))
    protocol.keys = protocol.keys.replace(change.signature["value"], forged.signature["value"])
    with pytest.raises(LogError, match="KEY_CHANGE_INVALID"):
        send(package, url)


def test_verify_receipt_offline_holds_and_every_change_is_refused(package, url, tmp_path):
    receipt = send(package, url)
    key = vkey(ORIGIN, LOG_KEY.public)
    path = package / "receipt.json"
    assert verify_receipt(path, key + "\n") == receipt["document"]
    for field in receipt["document"]:
        changed = {"document": receipt["document"] | {field: "other"}, "signature": receipt["signature"]}
        path.write_text(json.dumps(changed))
        with pytest.raises(SignatureError, match="SIGNATURE_INVALID"):
            verify_receipt(path, key)
    path.write_text(json.dumps(receipt))
    with pytest.raises(SignatureError, match="SIGNATURE_WRONG_KEY"):
        verify_receipt(path, vkey(ORIGIN, THIEF.public))
    path.write_text(json.dumps(receipt | {"remark": "unsigned words beside signed ones"}))
    with pytest.raises(SignatureError, match="RECEIPT_MALFORMED"):
        verify_receipt(path, key)
    alone = tmp_path / "alone.json"
    alone.write_text(json.dumps(receipt))
    assert verify_receipt(alone, key)["batch"] == "b-1"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"document":{},"signature":null}', '{"document":{"a":1.5}}']
)
def test_verify_receipt_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "receipt.json"
    path.write_text(content)
    with pytest.raises((InputError, SignatureError)):
        verify_receipt(path, vkey(ORIGIN, LOG_KEY.public))
    with pytest.raises(InputError, match="RECEIPT_UNREADABLE"):
        verify_receipt(tmp_path / "absent.json", vkey(ORIGIN, LOG_KEY.public))


def test_submit_proxies_of_the_environment_are_ignored_for_this_machine(package, url, monkeypatch, protocol):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    send(package, url)
    assert protocol.completions == 1


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("http://service.example", "INSECURE_URL"),
        ("http://10.0.0.5:8000", "INSECURE_URL"),
        ("http://localhost.evil.example", "INSECURE_URL"),
        ("http://127.0.0.1@evil.example", "BAD_URL"),
        ("https://user:secret@service.example", "BAD_URL"),
        ("ftp://service.example", "BAD_URL"),
        ("service.example", "BAD_URL"),
        ("https://service.example/?a=b", "BAD_URL"),
        ("http://[::1", "BAD_URL"),
        ("http://127.0.0.1:port", "BAD_URL"),
        ("", "BAD_URL"),
    ],
)
def test_submit_address_that_would_leak_the_key_or_is_none_is_refused(package, address, code):
    with pytest.raises(InputError) as caught:
        send(package, address)
    assert caught.value.code == code
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "two\nlines-of-a-key", "with space in it", "clk_é" * 10])
def test_submit_malformed_api_key_is_refused_and_not_shown(package, url, key):
    with pytest.raises(KeyMaterialError, match="BAD_API_KEY") as caught:
        send(package, url, api_key=key)
    assert not key or key not in str(caught.value)


def test_submit_redirect_is_not_followed(package, url, protocol):
    protocol.fault("POST .*/batches", 307)
    with pytest.raises(CohortlinkError, match="INJECTED"):
        send(package, url)


def test_submit_row_problems_of_the_service_keep_their_places_and_lose_control_characters(
    package, url, protocol, monkeypatch
):
    listed = [
        {"row": 3, "column": "wages", "code": "BAD_NUMBER", "detail": "not a\x1b[31m number"},
        {"row": "x"},
        5,
    ]
    body = {"code": "ROWS_REFUSED", "detail": "two\r\nrows", "problems": listed}
    monkeypatch.setattr(protocol, "complete", lambda: (422, body))
    with pytest.raises(InputError) as caught:
        send(package, url)
    assert caught.value.code == "ROWS_REFUSED"
    assert caught.value.detail == "two rows"
    first, second = caught.value.problems
    assert (first.row, first.column, first.code) == (3, "wages", "BAD_NUMBER")
    assert "\x1b" not in first.detail
    assert (second.row, second.code) == (None, "SERVICE_REFUSED")


def test_submit_public_key_of_the_manifest_signature_is_the_agencys(package, url, protocol):
    send(package, url)
    # The server verified it in begin(); a stranger's key would not have.
    with pytest.raises(SignatureError):
        PublicKey(THIEF.public.raw).verify(
            "batch-manifest", protocol.manifest, AGENCY.sign("batch-manifest", protocol.manifest)
        )


def test_submit_crash_before_the_receipt_is_written_leaves_no_half_receipt(package, url, monkeypatch):
    def crash(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    with monkeypatch.context() as patch, contextlib.suppress(OSError):
        patch.setattr(Path, "replace", crash)
        send(package, url)
    assert not (package / "receipt.json").exists()
    send(package, url)
    assert (package / "receipt.json").is_file()
