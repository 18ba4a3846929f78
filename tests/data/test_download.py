"""The real download code against a real server on this machine, honest and otherwise."""

import dataclasses
import hashlib
import http.server
import io
import socket
import tarfile
import threading

import numpy as np
import pytest

from thresher.core.errors import DataError, RunDirectoryError
from thresher.data import DATASETS, load
from thresher.data.download import Remote, download


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        if server.babbles:
            self.wfile.write(b"no protocol at all\r\n\r\n")
            return
        body = server.files.get(self.path.removeprefix("/data/"))
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + server.missing))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked, server.missing, server.babbles = {}, [], 0, False
        server.url = f"http://127.0.0.1:{server.server_port}/data"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def md5(data):
    return hashlib.md5(data).hexdigest()


BODY = np.random.default_rng(0).bytes(200_000)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("slash", ["", "/"])
def test_fetches_whole_files_and_leaves_those_that_are_there(tmp_path, server, slash, capfd):
    server.files = {"a": BODY, "b": b"two"}
    remote = Remote("http://elsewhere.invalid/", {"a": md5(BODY), "b": md5(b"two")})
    (tmp_path / "b").write_bytes(b"mine")
    paths = download(remote, tmp_path, server.url + slash)
    assert paths == [tmp_path / "a", tmp_path / "b"]
    assert (tmp_path / "a").read_bytes() == BODY
    assert (tmp_path / "b").read_bytes() == b"mine"
    assert names(tmp_path) == ["a", "b"]
    assert server.asked == ["/data/a"]
    assert capfd.readouterr().out == ""


def test_a_file_with_another_checksum_is_refused_and_removed(tmp_path, server):
    server.files = {"a": b"one", "b": BODY}
    remote = Remote(server.url, {"a": md5(b"one"), "b": md5(b"published")})
    with pytest.raises(DataError) as caught:
        download(remote, tmp_path)
    assert md5(BODY) in str(caught.value)
    assert md5(b"published") in str(caught.value)
    assert f"{server.url}/b" in str(caught.value)
    assert names(tmp_path) == ["a"]  # what was right stays


def test_a_body_that_ends_early_is_refused(tmp_path, server):
    server.files, server.missing = {"a": BODY}, 7
    with pytest.raises(DataError, match=r"/a ended after 200000 of 200007 bytes"):
        download(Remote(server.url, {"a": md5(BODY)}), tmp_path)
    assert names(tmp_path) == []


def test_an_absent_file_is_a_data_error(tmp_path, server):
    with pytest.raises(DataError, match=r"cannot fetch http://127.0.0.1:\d+/data/a: HTTP Error 404"):
        download(Remote(server.url, {"a": md5(BODY)}), tmp_path)
    assert names(tmp_path) == []


def test_what_is_no_web_server_is_a_data_error(tmp_path, server):
    server.babbles = True
    with pytest.raises(DataError, match=r"cannot fetch .*: no protocol at all"):
        download(Remote(server.url, {"a": md5(BODY)}), tmp_path)


@pytest.mark.parametrize("url", ["no-scheme", "gopher://127.0.0.1/", "http://127.0.0.1:99999/"])
def test_a_nonsensical_place_is_a_data_error(tmp_path, url):
    with pytest.raises(DataError, match="cannot fetch"):
        download(Remote(url, {"a": md5(BODY)}), tmp_path)


def test_an_unwritable_folder_is_named(tmp_path, server):
    server.files = {"a": BODY}
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunDirectoryError, match=r"cannot write .*file/a"):
        download(Remote(server.url, {"a": md5(BODY)}), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "in the way"


def republish(monkeypatch, server, name, files):
    server.files = files
    remote = Remote(DATASETS[name].remote.base_url, {file: md5(data) for file, data in files.items()})
    monkeypatch.setitem(DATASETS, name, dataclasses.replace(DATASETS[name], remote=remote))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_load_fetches_what_is_absent_once(tmp_path, server, monkeypatch, write_mnist, mnist_arrays, name):
    source = write_mnist(tmp_path / "server", zipped=True)
    republish(monkeypatch, server, name, {path.name: path.read_bytes() for path in source.iterdir()})
    for _ in range(2):
        splits = load(name, tmp_path / "home", validation=0, mirror=server.url)
        np.testing.assert_array_equal(splits.train.inputs[:, 0], mnist_arrays["train-images-idx3-ubyte"])
        assert len(server.asked) == 4
    assert names(tmp_path / "home" / name) == sorted(server.files)


def test_load_reads_the_archive_it_fetched(tmp_path, server, monkeypatch, cifar_rows):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for part, rows in {"train.bin": cifar_rows[:20], "test.bin": cifar_rows[20:]}.items():
            info = tarfile.TarInfo(f"cifar-100-binary/{part}")
            info.size = rows.size
            tar.addfile(info, io.BytesIO(rows.tobytes()))
    republish(monkeypatch, server, "cifar-100", {"cifar-100-binary.tar.gz": file.getvalue()})
    splits = load("cifar-100", tmp_path, validation=0, mirror=server.url)
    np.testing.assert_array_equal(splits.train.inputs.flatten(1), cifar_rows[:20, 2:])
    assert names(tmp_path / "cifar-100") == ["cifar-100-binary.tar.gz"]


def test_load_decodes_the_images_of_the_archive_it_fetched(
    tmp_path, server, monkeypatch, tiny_row, tiny_files, zip_bytes
):
    republish(monkeypatch, server, "tiny-imagenet", {"tiny-imagenet-200.zip": zip_bytes(tiny_files)})
    for _ in range(2):
        splits = load("tiny-imagenet", tmp_path, validation=0, mirror=server.url)
        assert (len(splits.train), len(splits.test)) == (36, 5)
    assert server.asked == ["/data/tiny-imagenet-200.zip"]
    assert names(tmp_path / "tiny-imagenet") == ["tiny-imagenet-200.zip"]


def test_load_refuses_a_mirror_with_other_files(tmp_path, server):
    server.files = dict.fromkeys(DATASETS["mnist"].remote.md5, b"<html>Please log in</html>")
    with pytest.raises(DataError, match=r"the published file has f68b3c2d\w+: it was removed; mnist is not in"):
        load("mnist", tmp_path, mirror=server.url)
    assert names(tmp_path / "mnist") == []


def test_load_without_a_network_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        mirror = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(DataError) as caught:
            load("cifar-10", tmp_path, mirror=mirror)
    message = str(caught.value)
    assert message.startswith(f"cannot fetch {mirror}cifar-10-binary.tar.gz: ")
    assert "refused" in message
    assert f"cifar-10 is not in {tmp_path}: looked for data_batch_1.bin, " in message
    assert "get cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/" in message
