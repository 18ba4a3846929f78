"""Archives that lie, break off, or hold something else."""

import io
import tarfile
import zipfile

import pytest

from thresher.core.errors import DataError
from thresher.data.content import read_archive


def tar_of(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_reads_members_in_any_order_and_passes_over_others(tmp_path, mode):
    path = tar_of(tmp_path / "a.tar", {"./x/b": b"two", "x/other": b"-", "x/a": b"one"}, mode)
    contents = read_archive(path, ["x/a", "x/b"])
    assert {name: content.data for name, content in contents.items()} == {"x/a": b"one", "x/b": b"two"}
    assert contents["x/a"].origin == f"{path}:x/a"


def test_ends_with_the_last_member_that_is_asked_for(tmp_path):
    path = tar_of(tmp_path / "a.tar", {"x/a": b"one", "x/b": b"two", "x/long": bytes(10**6)}, "w")
    path.write_bytes(path.read_bytes()[:5000])
    assert {name: content.data for name, content in read_archive(path, ["x/b", "x/a"]).items()} == {
        "x/a": b"one",
        "x/b": b"two",
    }


def test_names_what_is_missing(tmp_path):
    path = tar_of(tmp_path / "a.tar", {"x/a": b"one", "b": b"elsewhere"})
    with pytest.raises(DataError, match=r"a.tar does not hold x/b as regular files"):
        read_archive(path, ["x/a", "x/b"])


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_follows_no_link(tmp_path, kind):
    (tmp_path / "secret").write_text("secret")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("x/a")
        info.type, info.linkname = kind, str(tmp_path / "secret")
        archive.addfile(info)
    with pytest.raises(DataError, match="does not hold x/a as regular files"):
        read_archive(tmp_path / "a.tar", ["x/a"])


def test_takes_no_sparse_member(tmp_path):
    info = tarfile.TarInfo("x/a")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"%011o\0" % 10**6  # a million zeros that are not in the archive
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(1024))
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert archive.getmember("x/a").size == 10**6
    with pytest.raises(DataError, match="does not hold x/a as regular files"):
        read_archive(tmp_path / "a.tar", ["x/a"])


def test_refuses_a_member_that_claims_more_than_there_is(tmp_path):
    path = tar_of(tmp_path / "a.tar", {"x/a": b"one"}, "w")
    data = bytearray(path.read_bytes())
    info = tarfile.TarInfo("x/a")
    info.size = 10**9
    data[:512] = info.tobuf()[:512]
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="damaged tar archive"):
        read_archive(path, ["x/a"])


@pytest.mark.parametrize("length", [0, 3, 40, 300])
def test_refuses_an_archive_that_breaks_off(tmp_path, length):
    path = tar_of(tmp_path / "a.tar.gz", {"x/a": bytes(range(256)) * 8, "x/b": b"two"})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"a.tar.gz"):
        read_archive(path, ["x/a", "x/b"])


def test_refuses_what_is_no_archive(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"<html>moved</html>" * 100)
    with pytest.raises(DataError, match="damaged tar archive"):
        read_archive(tmp_path / "a.tar.gz", ["x/a"])


def zip_of(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_reads_members_of_a_zip(tmp_path, method):
    path = zip_of(tmp_path / "a.zip", {"x/": b"", "x/b": b"two", "x/other": b"-", "x/a": b"one"}, method)
    contents = read_archive(path, ["x/a", "x/b"])
    assert {name: content.data for name, content in contents.items()} == {"x/a": b"one", "x/b": b"two"}
    assert contents["x/a"].origin == f"{path}:x/a"
    assert read_archive(path, []) == {}


def test_names_the_first_ten_of_many_that_a_zip_lacks(tmp_path):
    path = zip_of(tmp_path / "a.zip", {"x/0": b"-"})
    with pytest.raises(DataError, match=r"a\.zip does not hold x/1, .*, x/10 and 990 more as regular files: it is"):
        read_archive(path, [f"x/{k}" for k in range(1001)])


@pytest.mark.parametrize("length", [0, 3, 40, 300, -1])
def test_refuses_a_zip_that_breaks_off(tmp_path, length):
    path = zip_of(tmp_path / "a.zip", {"x/a": bytes(range(256)) * 8, "x/b": b"two"})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"a\.zip is a damaged zip archive \(.*\): delete it and get it again"):
        read_archive(path, ["x/a", "x/b"])


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_refuses_a_zip_member_with_other_bytes_than_were_packed(tmp_path, method):
    path = zip_of(tmp_path / "a.zip", {"x/a": bytes(range(256)) * 8}, method)
    whole = path.read_bytes()
    start = 30 + len("x/a") + 12  # behind the header, and what LZMA puts before its stream
    for at in range(start, start + 60, 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with pytest.raises(DataError, match="damaged zip archive"):
            read_archive(path, ["x/a"])


def test_refuses_an_encrypted_zip(tmp_path):
    path = zip_of(tmp_path / "a.zip", {"x/a": b"one"})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag, in both headers
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"damaged zip archive \(.*encrypted"):
        read_archive(path, ["x/a"])


def test_refuses_a_zip_whose_names_are_no_text(tmp_path):
    path = zip_of(tmp_path / "a.zip", {"x/a": b"one", "x/é": b"two"})
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xff"))
    with pytest.raises(DataError, match=r"damaged zip archive \(.*utf-8"):
        read_archive(path, ["x/a"])
