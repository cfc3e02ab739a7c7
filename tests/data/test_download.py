"""Downloads, from a server of our own: what breaks off is resumed, what is wrong is not kept."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from priorbench.data.downloads.fetch import fetch
from priorbench.data.downloads.listing import (
    CHECKSUMS,
    Download,
    DownloadList,
    known_lists,
    load_list,
)
from priorbench.data.downloads.transfer import _as_safe
from priorbench.data.readers.data_file import DataFile
from priorbench.errors import UserError

CONTENT = bytes(range(256)) * 2000
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@dataclass
class Site:
    """What the server gives, and what it was asked for."""

    address: str = ""
    content: bytes = CONTENT
    version: str = '"one"'
    break_after: int | None = None
    knows_ranges: bool = True
    requests: list[tuple[str, str]] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    listing: Any = None
    answer: bytes | None = None


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append((self.path, self.headers.get("Range", "")))
            if self.path.startswith("/missing"):
                self.send_error(404)
            elif self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/to/"))
                self.end_headers()
            elif self.path.startswith("/listing"):
                body = site.listing
                self._give(body if isinstance(body, bytes) else json.dumps(body).encode(), 200)
            elif site.answer is not None:
                self.wfile.write(site.answer)
            else:
                self._file()

        def _file(self) -> None:
            requested = self.headers.get("Range", "")
            same = self.headers.get("If-Range") == site.version
            begin = int(requested[6:-1]) if requested and same and site.knows_ranges else 0
            if begin and begin >= len(site.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(site.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._give(site.content[begin:], 206 if begin else 200)

        def _give(self, body: bytes, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if site.version:
                self.send_header("ETag", site.version)
            self.end_headers()
            body = body[: site.break_after]
            site.sent.append(len(body))
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def silent(name: str, begun: int, total: int | None) -> Iterator[Any]:
    yield lambda count: None


def wanted(site: Site, path: str = "/a.bin", **more: Any) -> DownloadList:
    file = {"name": "a.bin", "what": "bytes", "url": site.address + path, **more}
    return DownloadList.model_validate({"summary": "a test", "files": [file]})


def get(what: DownloadList, folder: Path) -> Any:
    return fetch(what, folder, progress=silent)


def test_a_file_is_downloaded_once_and_its_checksum_recorded(site: Site, tmp_path: Path) -> None:
    progressed = []

    @contextmanager
    def progress(name: str, begun: int, total: int | None) -> Iterator[Any]:
        progressed.append((name, begun, total))
        yield progressed.append

    summary = fetch(wanted(site), tmp_path / "new", progress=progress)
    assert (tmp_path / "new" / "a.bin").read_bytes() == CONTENT
    assert (summary.downloaded, summary.kept, summary.recorded) == (["a.bin"], [], ["a.bin"])
    assert progressed[0] == ("a.bin", 0, len(CONTENT))
    assert sum(progressed[1:]) == len(CONTENT)
    assert tomllib.loads((tmp_path / "new" / CHECKSUMS).read_text()) == {"a.bin": SHA256}
    again = get(wanted(site), tmp_path / "new")
    assert (again.downloaded, again.kept, again.recorded) == ([], ["a.bin"], [])
    assert len(site.requests) == 1
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.bin", CHECKSUMS]


def test_a_recorded_checksum_is_checked(site: Site, tmp_path: Path) -> None:
    get(wanted(site), tmp_path)
    (tmp_path / "a.bin").write_bytes(b"changed")
    with pytest.raises(UserError, match=r"a\.bin: its sha256 is .* delete it"):
        get(wanted(site), tmp_path)
    # and a file that was deleted must come back as it was
    (tmp_path / "a.bin").unlink()
    site.content = CONTENT[::-1]
    with pytest.raises(UserError, match="another checksum"):
        get(wanted(site), tmp_path)
    assert not (tmp_path / "a.bin").exists()


def test_what_broke_off_is_resumed(site: Site, tmp_path: Path) -> None:
    site.break_after = 300_000
    with pytest.raises(UserError, match=r"a\.bin: http.* broke off; the same command goes on"):
        get(wanted(site, checksum=SHA256), tmp_path)
    assert not (tmp_path / "a.bin").exists()
    begun = (tmp_path / "a.bin.part").stat().st_size
    assert 0 < begun <= 300_000
    site.break_after = None
    get(wanted(site, checksum=SHA256), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert site.requests[1] == ("/a.bin", f"bytes={begun}-")
    assert site.sent[1] == len(CONTENT) - begun
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("change", ["version", "no ranges", "no version"])
def test_it_begins_anew_where_the_rest_would_not_fit(
    site: Site, tmp_path: Path, change: str
) -> None:
    site.break_after = 300_000
    if change == "no version":
        site.version = ""
    with pytest.raises(UserError, match="broke off"):
        get(wanted(site), tmp_path)
    site.break_after = None
    if change == "version":
        site.content, site.version = CONTENT[::-1], '"two"'
    site.knows_ranges = change != "no ranges"
    get(wanted(site), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == site.content
    assert site.sent[1] == len(CONTENT)


def test_a_part_that_was_complete_is_taken_as_it_is(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    (tmp_path / "a.bin.part.version").write_text(site.version)
    get(wanted(site, checksum=SHA256), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert site.sent == []
    # one that is too long belongs to something else
    (tmp_path / "a.bin").unlink()
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"more")
    (tmp_path / "a.bin.part.version").write_text(site.version)
    get(wanted(site, checksum=SHA256), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_keeps_nothing(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.bin: what http.* another checksum than md5:0123"):
        get(wanted(site, checksum="md5:0123456789abcdef0123456789abcdef"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_such_file_and_no_network(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.bin: http\S*/missing answers 404 Not Found"):
        get(wanted(site, "/missing"), tmp_path)
    nowhere = wanted(Site("http://127.0.0.1:1"))
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1/a\.bin cannot be reached .*network"):
        get(nowhere, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_best_file_of_an_experiment_is_taken(site: Site, tmp_path: Path) -> None:
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    entries = [
        ("alignments", [1, 2], "x"),
        ("IDR thresholded peaks", [1, 2], "x"),
        ("optimal IDR thresholded peaks", [1], "x"),
        ("optimal IDR thresholded peaks", [1, 2], md5),
    ]
    site.listing = {
        "@graph": [
            {
                "output_type": kind,
                "biological_replicates": replicates,
                "accession": f"ENCFF{number}",
                "href": f"/files/{number}",
                "md5sum": checksum,
            }
            for number, (kind, replicates, checksum) in enumerate(entries)
        ]
    }
    types = ["optimal IDR thresholded peaks", "IDR thresholded peaks"]
    listing = {"url": "", "listing": site.address + "/listing", "output_types": types}
    get(wanted(site, **listing), tmp_path)
    assert [path for path, _ in site.requests] == ["/listing", "/files/3"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    site.listing = {"@graph": []}
    with pytest.raises(UserError, match="lists no optimal IDR thresholded peaks or IDR"):
        get(wanted(site, **listing), tmp_path / "other")


def test_data_files_are_written_when_their_files_are_there(site: Site, tmp_path: Path) -> None:
    what = DownloadList.model_validate(
        {
            "summary": "a test",
            "files": [
                {"name": f"{name}.fa", "what": "", "url": f"{site.address}/{name}"}
                for name in ("p", "n")
            ],
            "data": [
                {
                    "file": "mine.toml",
                    "keys": {"task": "binary", "positives": "p.fa", "negatives": "n.fa"},
                }
            ],
        }
    )
    assert fetch(what, tmp_path, only=["p.fa"], progress=silent).data == []
    summary = fetch(what, tmp_path, only=["n.fa"], progress=silent)
    assert summary.data == [tmp_path / "mine.toml"]
    assert tomllib.loads(summary.data[0].read_text())["positives"] == "p.fa"
    summary.data[0].write_text("# mine\n")
    fetch(what, tmp_path, progress=silent)
    assert summary.data[0].read_text() == "# mine\n"
    with pytest.raises(UserError, match=r"did you mean 'p\.fa'"):
        fetch(what, tmp_path, only=["pp.fa"], progress=silent)


@pytest.mark.parametrize("name", known_lists())
def test_the_lists_that_come_with_the_program(name: str) -> None:
    downloads = load_list(name)
    assert downloads.citation
    names = [file.name for file in downloads.files]
    for data in downloads.data:
        assert set(data.keys) <= set(DataFile.model_fields)
        assert data.needs(names) == [n for n in names if n in data.keys.values()] != []
    addresses = [file.url or file.listing for file in downloads.files]
    assert len(set(addresses)) == len(addresses)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "key 'summary' is missing; add it"),
        ('summary = "x"\nfiles = []', r"files = \[\]: give a list that is not empty"),
        (
            'summary = "x"\n[[files]]\nname = "../x"\nwhat = ""\nurl = "http://x"',
            r"files\[1\]\.name = '\.\./x': give a name of letters",
        ),
        ('summary = "x"\n[[files]]\nname = "x"\nwhat = ""', "give url or listing"),
        (
            'summary = "x"\n[[files]]\nname = "x"\nwhat = ""\nurl = "http://x"\nsha = "1"',
            r"files\[1\]: unknown key 'sha'; .*known: checksum",
        ),
        ("summary", "not valid TOML"),
        ("x = " + "[" * 100_000, "not valid TOML"),
        ('summary = 1\nfiles = "x"', "summary = 1: give a text in quotes"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        load_list(str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("key", ["name", "file"])
@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x", "a/b", "/x", "a\\b", ".lock", "-x", "x" * 201, "a\n", "a b"),
        *(CHECKSUMS, CHECKSUMS.upper(), "a.part", "a.part.version", "twice", "Twice"),
    ],
)
def test_names_of_files_that_cannot_be_used(name: str, key: str) -> None:
    file: dict[str, Any] = {"name": "twice", "what": "", "url": "http://x"}
    contents: dict[str, Any] = {"summary": "", "files": [file]}
    if key == "name":
        contents["files"].append({**file, "name": name})
    else:
        contents["data"] = [{"file": name, "keys": {}}]
    with pytest.raises(ValidationError, match=r"give a name|choose another|occurs twice"):
        DownloadList.model_validate(contents)


@pytest.mark.parametrize(
    "changed",
    [
        {"url": "ftp://x/y"},
        {"url": "file:///etc/passwd"},
        {"url": "x"},
        {"url": "https:///x"},
        {"checksum": "sha256:0"},
        {"checksum": "crc:0"},
        {"url": "", "listing": "http://x"},
        *({key: value} for key in Download.model_fields for value in (1, [1], {"a": 1}, None)),
    ],
)
def test_wrong_values_of_every_key(changed: dict[str, Any], tmp_path: Path) -> None:
    file = {"name": "x", "what": "", "url": "http://x", **changed}
    with pytest.raises(ValidationError):
        DownloadList.model_validate({"summary": "", "files": [file]})


@pytest.mark.parametrize(
    "contents",
    [b"a = 1", b"a = ['sha256:0']", b"a = 'sha256:0'", b"a", b"\xff", b"a = " + b"[" * 100_000],
)
def test_damaged_checksums(site: Site, tmp_path: Path, contents: bytes) -> None:
    (tmp_path / CHECKSUMS).write_bytes(contents)
    with pytest.raises(UserError, match=r"checksums\.toml: damaged \(.*delete it to record"):
        get(wanted(site), tmp_path)
    assert site.requests == []


def entry(**changed: Any) -> dict[str, Any]:
    return {"output_type": "peaks", "href": "/files/1", "accession": "ENCFF1", **changed}


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        (b"<html>", "gives no list of files"),
        (b"\xff\xfe\x00", "gives no list of files"),
        (b"[" * 100_000, "gives no list of files"),
        (b"[]", "gives no list of files"),
        (b"null", "gives no list of files"),
        ({}, "gives no list of files"),
        ({"@graph": {"a": 1}}, "gives no list of files"),
        ({"@graph": ["a"]}, "gives no list of files"),
        ({"@graph": [{}]}, "lists no peaks; see the experiment"),
        ({"@graph": [entry(output_type=["peaks"])]}, "lists no peaks"),
        (b" " * (17 << 20), "gives more than 16 MiB"),
        *(
            ({"@graph": [entry(href=href)]}, "entry ENCFF1: href = .* is not its address")
            for href in (
                None,
                "",
                1,
                ["x"],
                "file:///etc/passwd",
                "ftp://x/y",
                "http://[",
            )
        ),
        *(
            ({"@graph": [entry(md5sum=md5)]}, "entry ENCFF1: md5sum = .* is not 32 hex")
            for md5 in (1, "x", ["a"], "0" * 31)
        ),
    ],
)
def test_listings_that_cannot_be_used(
    site: Site, tmp_path: Path, listing: Any, message: str
) -> None:
    site.listing = listing
    what = wanted(site, url="", listing=site.address + "/listing", output_types=["peaks"])
    with pytest.raises(UserError, match=rf"a\.bin: {site.address}/listing.* {message}"):
        get(what, tmp_path)
    assert [path for path, _ in site.requests] == ["/listing"]
    assert list(tmp_path.iterdir()) == []


def test_an_entry_without_what_is_not_needed(site: Site, tmp_path: Path) -> None:
    odd = entry(biological_replicates=3, accession=None, md5sum=None)
    site.listing = {"@graph": [odd, entry(biological_replicates=[1], href="/files/2")]}
    get(wanted(site, url="", listing=site.address + "/listing", output_types=["peaks"]), tmp_path)
    assert site.requests[1][0] == "/files/2"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://x/y", "gopher://x"])
def test_redirections_stay_in_the_web(site: Site, tmp_path: Path, target: str) -> None:
    with pytest.raises(UserError, match=r"a\.bin: http\S* leads to .*, which is not as safe; "):
        get(wanted(site, f"/to/{target}"), tmp_path)
    assert list(tmp_path.iterdir()) == []
    get(wanted(site, f"/to/{site.address}/a.bin"), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_redirections_do_not_leave_https() -> None:
    assert _as_safe("https://a/b", "https://c/d")
    assert _as_safe("http://a/b", "https://c/d")
    assert not _as_safe("https://a/b", "http://a/b")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"nonsense", "cannot be reached|broke off"),
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "answers 500"),
        (b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx", "broke off"),
        (b"HTTP/1.1 416 Nothing\r\nContent-Length: 0\r\n\r\n", "answers 416"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "broke off"),
    ],
)
def test_servers_that_answer_nonsense(
    site: Site, tmp_path: Path, answer: bytes, message: str
) -> None:
    site.answer = answer
    with pytest.raises(UserError, match=rf"a\.bin: {site.address}/a\.bin.*({message})"):
        get(wanted(site), tmp_path)
    assert not (tmp_path / "a.bin").exists()


def test_a_server_that_stops(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("priorbench.data.downloads.transfer._TIMEOUT", (5, 0.2))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        silent_site = Site(f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(UserError, match=r"a\.bin: .* does not answer any more; the same"):
            get(wanted(silent_site), tmp_path)


def test_an_unknown_list() -> None:
    with pytest.raises(UserError, match="did you mean 'neurips2020'"):
        load_list("neurips2021")


def test_killed_before_the_file_has_its_name_nothing_is_lost(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch.core

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pooch.core, "hash_matches", killed)
        with pytest.raises(KeyboardInterrupt):
            get(wanted(site, checksum=SHA256), tmp_path)
    assert not (tmp_path / "a.bin").exists()
    get(wanted(site, checksum=SHA256), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert site.sent == [len(CONTENT)]  # the second call was told that it has all


def test_a_lock_that_is_a_link_empties_no_file(site: Site, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("mine")
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / ".lock").symlink_to(tmp_path / "own.txt")
    get(wanted(site), folder)
    assert (tmp_path / "own.txt").read_text() == "mine"


def test_two_calls_at_once_do_not_mix(site: Site, tmp_path: Path) -> None:
    @contextmanager
    def meanwhile(name: str, begun: int, total: int | None) -> Iterator[Any]:
        with pytest.raises(UserError, match="another download to it is going on"):
            get(wanted(site), tmp_path)
        yield lambda count: None

    fetch(wanted(site), tmp_path, progress=meanwhile)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert len(site.requests) == 1
