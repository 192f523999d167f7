"""Downloads, from a server on this machine that misbehaves as asked."""

import errno
import functools
import hashlib
import http.server
import os
import shutil
import threading

import numpy as np
import pytest

from algoperf.facts import UserError
from algoperf.prepare.download import ATTEMPTS, fetch
from algoperf.prepare.plan import Part, Preparation, RawFile, Source, nothing_to_finish
from algoperf.prepare.run import prepare
from workloads.copied_files import copied

CONTENT = np.random.default_rng(0).bytes(600_000)


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT; `breaks` are the bytes after which connections are cut."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks: list[int] = []
        self.answers: list[int] = []  # errors to answer with first
        self.content = CONTENT
        self.takes_ranges = True
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/some/file.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.server.answers:
            self.send_error(self.server.answers.pop(0))
            return
        start = 0
        if asked and self.server.takes_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks:
            body = body[: self.server.breaks.pop(0)]
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        """Says nothing."""


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Download:
    """Downloads without waiting; remembers what was said and waited."""

    def __init__(self, folder):
        self.folder = folder
        self.said: list[str] = []
        self.waits_s: list[float] = []

    def __call__(self, url: str, **changes) -> bytes:
        digest = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
        known = {"bytes": len(CONTENT), "digest": digest, **changes}
        file = RawFile("file.bin", url=url, **known)
        path = fetch(file, self.folder, self.said.append, self.waits_s.append)
        assert path == self.folder / "file.bin"
        assert [p.name for p in self.folder.iterdir()] == ["file.bin"]
        return path.read_bytes()


@pytest.fixture
def download(tmp_path):
    return Download(tmp_path / "raw")


def test_a_file_is_downloaded(server, download):
    assert download(server.url) == CONTENT
    assert (server.ranges, download.waits_s) == ([None], [])


def test_a_broken_connection_goes_on_where_it_broke(server, download):
    server.breaks = [250_000, 100_000]
    assert download(server.url) == CONTENT
    assert server.ranges == [None, "bytes=250000-", "bytes=350000-"]
    assert download.waits_s == [2.0, 4.0]
    assert "the connection broke after 250,000 of 600,000 bytes" in download.said[0]


def test_a_later_call_goes_on_too(server, download):
    download.folder.mkdir()
    (download.folder / "file.bin.part").write_bytes(CONTENT[:400_000])
    assert download(server.url) == CONTENT
    assert server.ranges == ["bytes=400000-"]


def test_a_part_that_is_whole_is_only_checked(server, download):
    download.folder.mkdir()
    (download.folder / "file.bin.part").write_bytes(CONTENT)
    assert download(server.url) == CONTENT
    assert server.ranges == []


def test_a_server_without_ranges_begins_anew(server, download):
    server.takes_ranges = False
    server.breaks = [250_000]
    assert download(server.url) == CONTENT


def test_a_damaged_beginning_is_downloaded_again(server, download):
    download.folder.mkdir()
    (download.folder / "file.bin.part").write_bytes(b"x" + CONTENT[1:400_000])
    assert download(server.url) == CONTENT
    assert server.ranges == ["bytes=400000-", None]


def test_servers_that_are_busy_are_asked_again(server, download):
    server.answers = [503, 500]
    assert download(server.url) == CONTENT
    assert "the server answers 503" in download.said[0]


def test_a_wrong_checksum_ends_in_an_error(server, download):
    server.content = b"x" + CONTENT[1:]
    with pytest.raises(UserError) as error:
        download(server.url)
    wanted = hashlib.sha256(CONTENT).hexdigest()
    found = hashlib.sha256(server.content).hexdigest()
    assert f"its sha256 is {found}, and the official one is {wanted}" in str(
        error.value
    )
    assert len(server.ranges) == ATTEMPTS
    assert list(download.folder.iterdir()) == []


def test_a_file_that_is_not_there_is_not_asked_for_again(server, download):
    server.answers = [404]
    with pytest.raises(
        UserError, match=r"the server answers 404 Not Found.*other means"
    ):
        download(server.url)
    assert len(server.ranges) == 1


def test_connections_that_always_break_end_in_an_error(server, download):
    server.breaks = [10] * ATTEMPTS
    with pytest.raises(UserError, match=r"the connection broke after 10 of 599,960"):
        download(server.url)
    assert download.waits_s == [2.0, 4.0, 8.0, 16.0]
    # What came stays, for the next call.
    assert (download.folder / "file.bin.part").read_bytes() == CONTENT[:50]


def test_without_a_network_the_address_is_named(server, download):
    url = server.url
    server.server_close()
    server.shutdown()
    with pytest.raises(UserError) as error:
        download(url)
    text = str(error.value)
    assert "could not be downloaded from 127.0.0.1:" in text
    assert "Connection refused" in text
    assert f"or fetch {url} by other means into {download.folder}" in text


def test_another_size_is_refused_without_a_checksum_too(server, download):
    server.content = b"<html>not here</html>"
    with pytest.raises(UserError, match="it has 21 bytes, and should have 600,000"):
        download(server.url, digest="")
    assert list(download.folder.iterdir()) == []


def test_a_whole_part_of_unknown_size_is_downloaded_again(server, download):
    download.folder.mkdir()
    (download.folder / "file.bin.part").write_bytes(CONTENT)
    server.answers = [416]
    assert download(server.url, bytes=None, digest="") == CONTENT
    assert server.ranges == ["bytes=600000-", None]


def test_files_without_a_known_size_are_downloaded(server, download):
    assert download(server.url, bytes=None, digest="") == CONTENT


def test_a_full_disk_is_named_and_not_tried_again(server, download, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("algoperf.prepare.download._download", full)
    with pytest.raises(
        UserError, match=r"file.bin.part cannot be written: No space.*Run this again"
    ):
        download(server.url)
    assert download.waits_s == []


def data_set(url: str, small: bool = False) -> Preparation:
    """One file of 600,000 examples, a byte each."""
    file = RawFile("file.bin", len(CONTENT), url=url)

    def units(raw, folder):
        size = len(CONTENT)
        return [copied(raw["file.bin"], folder, "bytes", "train", lambda path: size)]

    source = Source("file.bin", (file,), units, nothing_to_finish)
    part = Part("bytes", {"train": 600_000}, (source,))
    return Preparation("set", "bytes", (part,), small=small)


def test_a_preparation_downloads_only_what_is_missing_and_only_if_asked(
    server, tmp_path
):
    run = functools.partial(
        prepare, data_set(server.url), tmp_path / "raw", tmp_path, lambda line: None
    )
    with pytest.raises(UserError) as error:
        run()
    assert f"file.bin  MISSING (600.0 kB), from {server.url}" in str(error.value)
    assert "--download fetches the files that have an address" in str(error.value)
    run(download=True)
    assert (tmp_path / "set/bytes").read_bytes() == CONTENT
    (tmp_path / "set/bytes").unlink()
    run(download=True)
    assert (tmp_path / "set/bytes").read_bytes() == CONTENT
    assert len(server.ranges) == 1


def test_a_small_data_set_is_downloaded_unless_that_is_refused(server, tmp_path):
    said = []
    run = functools.partial(
        prepare, data_set(server.url, True), tmp_path / "raw", tmp_path, said.append
    )
    with pytest.raises(UserError, match="MISSING"):
        run(download=False)
    said.clear()
    run()
    assert (tmp_path / "set/bytes").read_bytes() == CONTENT
    announced = [line.strip() for line in said]
    assert announced[:4] == [
        f"bytes -> {tmp_path}/set",
        f"to download, into {tmp_path}/raw:",
        f"file.bin  600.0 kB  {server.url}",
        "bytes from file.bin:",
    ]


def test_a_download_that_does_not_fit_is_not_begun(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError) as error:
        prepare(data_set(server.url, True), tmp_path / "raw", tmp_path, print)
    assert f"{tmp_path}/raw needs 64.6 MB on its disk, and 100 bytes are free" in str(
        error.value
    )
    assert server.ranges == []
