"""``log verify`` from a service and from a folder, end to end over a real socket and real files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from crypto.agency import log_verify
from crypto.agency.log_verify import verify
from crypto.errors import CohortlinkError, InputError, LogError
from crypto.log.checkpoint import Checkpoint, vkey
from crypto.log.entry import Entry
from crypto.log.keychain import Keychain
from crypto.log.tree import leaf_hash, root
from crypto.signatures import SigningKey

ORIGIN = "log.cohortlink.example"
KEY = SigningKey(bytes(range(32)))
THIEF = SigningKey(bytes(range(1, 33)))


def entry(index: int, note: str = "") -> bytes:
    body = {"organization": f"o{index}{note}", "name": "An organization"}
    return Entry(index, "organization.created", "2026-11-22T09:00:00Z", "service", None, body).leaf()


class Log:
    """What the server shows."""

    def __init__(self) -> None:
        self.leaves = [entry(index) for index in range(25)]
        self.size = 25
        self.key = KEY
        self.pages: list[bytes] | None = None

    def note(self, size: int | None = None) -> str:
        shown = self.leaves[: self.size if size is None else size]
        return Checkpoint(ORIGIN, len(shown), root(map(leaf_hash, shown))).sign(self.key, ORIGIN)


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        log: Log = self.server.log  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        if parts.path == "/v1/log/checkpoint":
            data = log.note().encode()
        elif parts.path == "/v1/log/key":
            data = vkey(ORIGIN, log.key.public).encode()
        elif parts.path == "/v1/log/keys":
            data = Keychain(vkey(ORIGIN, log.key.public)).to_text().encode()
        elif self.headers.get("Authorization") != "Bearer clk_auditor":
            self.send_error(404)
            return
        elif log.pages is not None:
            data = log.pages.pop(0)
        else:
            query = parse_qs(parts.query)
            leaves = log.leaves[int(query["start"][0]) : int(query["end"][0])]
            data = b"".join(leaf + b"\n" for leaf in leaves)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def url(log: Log, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(log_verify, "PAGE", 10)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.log = log  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "log.vkey"
    path.write_text(vkey(ORIGIN, KEY.public) + "\n")
    return path


@pytest.fixture
def copy(url: str, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    assert verify(url=url, save_copy=folder, api_key="clk_auditor").ok
    return folder


def lines(copy: Path) -> list[bytes]:
    return (copy / "entries.jsonl").read_bytes().splitlines()


def rewrite(copy: Path, leaves: list[bytes]) -> None:
    (copy / "entries.jsonl").write_bytes(b"".join(leaf + b"\n" for leaf in leaves))


def test_verify_service_holds_and_reports_progress(url, key_file):
    steps: list[tuple[str, int, int]] = []
    report = verify(url=url, key=key_file, api_key="clk_auditor", progress=lambda *step: steps.append(step))
    assert report.ok
    assert report.checkpoint is not None
    assert report.checkpoint.size == 25
    assert ("download", 10, 25) in steps
    assert steps[-1] == ("verify", 25, 25)


def test_verify_saved_copy_holds_offline_and_has_the_agreed_files(copy, key_file, log):
    assert {path.name for path in copy.iterdir()} == {
        "checkpoint", "entries.jsonl", "key", "keys", "hashes",
    }  # fmt: skip
    assert (copy / "checkpoint").read_bytes() == log.note().encode()
    assert lines(copy) == log.leaves
    assert verify(copy=copy, key=key_file).ok
    (copy / "hashes").unlink()
    assert verify(copy=copy).ok


@pytest.mark.parametrize("place", [0, 7, 24])
def test_verify_copy_with_a_changed_dropped_doubled_or_moved_entry_names_it(copy, place):
    good = lines(copy)
    rewrite(copy, [*good[:place], entry(place, "forged"), *good[place + 1 :]])
    assert verify(copy=copy).first_wrong_entry == place
    rewrite(copy, good[:place] + good[place + 1 :])
    assert verify(copy=copy).first_wrong_entry == place
    rewrite(copy, [*good[: place + 1], *good[place:]])
    assert verify(copy=copy).first_wrong_entry == place + 1
    other = (place + 3) % 25
    swapped = list(good)
    swapped[place], swapped[other] = swapped[other], swapped[place]
    rewrite(copy, swapped)
    assert verify(copy=copy).first_wrong_entry == min(place, other)
    rewrite(copy, good)
    assert verify(copy=copy).ok


def test_verify_copy_with_a_changed_byte_anywhere_in_a_leaf_names_the_entry(copy):
    good = lines(copy)
    for place in range(len(good[3])):
        leaf = bytearray(good[3])
        leaf[place] ^= 1
        if b"\n" in leaf:
            continue
        rewrite(copy, [*good[:3], bytes(leaf), *good[4:]])
        assert verify(copy=copy).first_wrong_entry == 3


def test_verify_copy_cut_off_in_the_middle_of_a_line_names_the_entry(copy):
    data = (copy / "entries.jsonl").read_bytes()
    (copy / "entries.jsonl").write_bytes(data[:-30])
    assert verify(copy=copy).first_wrong_entry == 24


def test_verify_service_with_another_key_than_the_trusted_one_fails(url, log, key_file):
    log.key = THIEF
    report = verify(url=url, key=key_file, api_key="clk_auditor")
    assert [item.name for item in report.checks if not item.ok] == ["key"]


def test_verify_rewritten_history_is_caught_by_a_remembered_checkpoint_or_copy(url, log, copy, tmp_path):
    remembered = tmp_path / "remembered"
    remembered.write_text(log.note(10), encoding="utf-8")
    log.leaves[4] = entry(4, "forged")
    assert verify(url=url, api_key="clk_auditor").ok, "without memory there is nothing to compare with"
    report = verify(url=url, since=remembered, api_key="clk_auditor")
    assert not report.ok
    assert "an entry of 0 to 9" in next(item.detail for item in report.checks if not item.ok)
    exact = verify(url=url, since=copy, api_key="clk_auditor")
    assert not exact.ok
    assert exact.first_wrong_entry == 4


def test_verify_growing_log_extends_the_saved_copy_and_keeps_its_checkpoint(url, log, copy):
    older = (copy / "checkpoint").read_bytes()
    log.leaves.append(entry(25))
    log.size = 26
    report = verify(url=url, save_copy=copy, api_key="clk_auditor")
    assert report.ok
    assert (copy / "checkpoints" / "000000000025").read_bytes() == older
    assert len(lines(copy)) == 26
    log.leaves.append(entry(26))
    log.size = 27
    assert verify(url=url, save_copy=copy, api_key="clk_auditor").ok
    assert len(list((copy / "checkpoints").iterdir())) == 2
    offline = verify(copy=copy)
    assert offline.ok
    assert "entries reach checkpoints/000000000025" in [item.name for item in offline.checks]


def test_verify_rewritten_log_never_replaces_the_saved_copy_and_is_kept_as_evidence(url, log, copy):
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    log.leaves[4] = entry(4, "forged")
    log.leaves.append(entry(25))
    log.size = 26
    for number in (1, 2):
        assert not verify(url=url, save_copy=copy, api_key="clk_auditor").ok
        evidence = copy.with_name(f"copy.refused-{number}")
        assert (evidence / "checkpoint").read_text(encoding="utf-8") == log.note()
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


def test_verify_leaves_no_scratch_folder_behind(url, copy, tmp_path):
    verify(url=url, save_copy=copy, api_key="clk_auditor")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_verify_save_over_something_that_is_no_copy_is_refused(url, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(LogError, match="SAVE_REFUSED"):
        verify(url=url, save_copy=tmp_path, api_key="clk_auditor")
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_verify_entries_that_the_service_does_not_show_is_a_clear_error(url):
    with pytest.raises(CohortlinkError, match="SERVICE_REFUSED"):
        verify(url=url)


@pytest.mark.parametrize("page", [b"", b"{}", b"\n" * 11, entry(0) + b"\n" + entry(1)])
def test_verify_page_that_is_empty_too_long_or_cut_off_is_refused(url, log, page):
    log.pages = [page]
    with pytest.raises(CohortlinkError, match="SERVICE_ANSWER"):
        verify(url=url, api_key="clk_auditor")


def test_verify_service_that_gives_shorter_pages_is_asked_again(url, log):
    log.size = 3
    log.pages = [entry(0) + b"\n", entry(1) + b"\n" + entry(2) + b"\n"]
    assert verify(url=url, api_key="clk_auditor").ok


@pytest.mark.parametrize("missing", ["checkpoint", "entries.jsonl", "key"])
def test_verify_copy_with_a_missing_file_is_a_clear_error(copy, missing):
    (copy / missing).unlink()
    with pytest.raises(LogError, match="COPY_INCOMPLETE"):
        verify(copy=copy)


def test_verify_copy_with_damaged_hashes_still_tells_that_an_entry_is_wrong(copy):
    (copy / "hashes").write_text("nonsense\n")
    assert verify(copy=copy).ok
    good = lines(copy)
    rewrite(copy, [*good[:4], entry(4, "forged"), *good[5:]])
    report = verify(copy=copy)
    assert not report.ok
    assert report.first_wrong_entry is None


@pytest.mark.parametrize(
    "arguments", [{}, {"url": "http://127.0.0.1", "copy": Path()}, {"copy": Path(), "save_copy": Path()}]
)
def test_verify_without_exactly_one_source_is_refused(arguments):
    with pytest.raises(InputError, match="BAD_ARGUMENTS"):
        verify(**arguments)


def test_verify_remembered_checkpoint_that_is_not_there_is_a_clear_error(copy, tmp_path):
    with pytest.raises(LogError, match="COPY_INCOMPLETE"):
        verify(copy=copy, since=tmp_path / "absent")
