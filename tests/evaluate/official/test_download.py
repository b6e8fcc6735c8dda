"""Downloads: gone on with after a cut, begun anew when the file has changed, given up plainly, checked always."""

import hashlib
from pathlib import Path

import pytest
from mmevol.evaluate.official.catalog import OfficialFile
from mmevol.evaluate.official.download import CHUNK, TRIES, NotThere, Unreachable, download, small, wrong
from website import Site

BODY = bytes(range(256)) * 4096  # 1 MiB


def listed(site: Site, body: bytes | None = BODY, mirror: str = "") -> OfficialFile:
    md5 = hashlib.md5(body).hexdigest() if body is not None else ""
    sha256 = hashlib.sha256(body).hexdigest() if body is not None else ""
    mirrored = site.url(mirror) if mirror else ""
    return OfficialFile("MMStar", "val", "data", "MMStar.tsv", site.url("a.tsv"), mirrored, "", md5, "", sha256, 0)


def fetched(file: OfficialFile, path: Path) -> int:
    come = []
    download(file, path, come.append)
    assert not list(path.parent.glob(".*"))
    return sum(come)


def test_whole_at_once(site: Site, tmp_path: Path) -> None:
    site.files["a.tsv"] = BODY
    assert fetched(listed(site), tmp_path / "x" / "a.tsv") == len(BODY)
    assert (tmp_path / "x" / "a.tsv").read_bytes() == BODY and site.asked == [("a.tsv", None)]


@pytest.mark.parametrize("checked", [True, False])
def test_cuts_are_gone_on_with(site: Site, tmp_path: Path, checked: bool) -> None:
    site.files["a.tsv"] = BODY
    site.cuts = [1000, 0, 50_000, 1]
    assert fetched(listed(site, BODY if checked else None), tmp_path / "a.tsv") == len(BODY)
    assert (tmp_path / "a.tsv").read_bytes() == BODY
    assert [wanted for _, wanted in site.asked] == [None, *(f"bytes={n}-" for n in (1000, 1000, 51_000, 51_001))]


def test_the_next_run_goes_on(site: Site, tmp_path: Path) -> None:
    site.files["a.tsv"] = BODY
    site.cuts = [1000] + [0] * TRIES
    with pytest.raises(Unreachable, match="broke off"):
        download(listed(site), tmp_path / "a.tsv", lambda _: None)
    assert not (tmp_path / "a.tsv").exists()
    site.asked.clear()
    assert fetched(listed(site), tmp_path / "a.tsv") == len(BODY) - 1000
    assert site.asked == [("a.tsv", "bytes=1000-")]


def test_without_ranges_it_begins_anew(site: Site, tmp_path: Path) -> None:
    site.files["a.tsv"], site.ranges, site.cuts = BODY, False, [1000]
    fetched(listed(site), tmp_path / "a.tsv")
    assert (tmp_path / "a.tsv").read_bytes() == BODY


@pytest.mark.parametrize("checked", [True, False])
def test_a_file_that_changed_meanwhile(site: Site, tmp_path: Path, checked: bool) -> None:
    site.files["a.tsv"] = BODY[::-1]
    site.cuts = [1000] + [0] * TRIES
    file = listed(site, BODY if checked else None)
    with pytest.raises(Unreachable):
        download(file, tmp_path / "a.tsv", lambda _: None)
    site.files["a.tsv"], site.edition = BODY, "2"
    fetched(file, tmp_path / "a.tsv")
    assert (tmp_path / "a.tsv").read_bytes() == BODY


def test_a_part_that_is_whole_or_too_long(site: Site, tmp_path: Path) -> None:
    site.files["a.tsv"] = BODY
    for part in (BODY, BODY + b"more"):
        (tmp_path / ".a.tsv.part").write_bytes(part)
        fetched(listed(site), tmp_path / "a.tsv")
        assert (tmp_path / "a.tsv").read_bytes() == BODY


def test_errors_that_pass(site: Site, tmp_path: Path) -> None:
    site.files["a.tsv"], site.errors = BODY, [503, 429, 500]
    fetched(listed(site), tmp_path / "a.tsv")
    site.errors = [503] * TRIES
    with pytest.raises(Unreachable, match="503"):
        download(listed(site), tmp_path / "b.tsv", lambda _: None)


def test_wrong_bytes_then_the_mirror(site: Site, tmp_path: Path) -> None:
    site.files["a.tsv"] = b"<html>moved</html>"
    with pytest.raises(NotThere, match="another file: md5"):
        download(listed(site), tmp_path / "a.tsv", lambda _: None)
    assert not any(tmp_path.iterdir())
    site.files["m.tsv"] = BODY
    fetched(listed(site, mirror="m.tsv"), tmp_path / "a.tsv")
    assert (tmp_path / "a.tsv").read_bytes() == BODY


def test_nothing_there(site: Site, tmp_path: Path) -> None:
    with pytest.raises(NotThere, match="404"):
        download(listed(site, mirror="m.tsv"), tmp_path / "a.tsv", lambda _: None)
    assert len(site.asked) == 2
    gone = listed(site).url.replace(str(site.server_port), "1")
    with pytest.raises(Unreachable):
        small(gone)


def test_pictures(site: Site) -> None:
    site.files |= {"p.jpg": b"picture", "photo_unavailable.png": b"gone"}
    site.cuts = [3]
    assert small(site.url("p.jpg")) == b"picture"
    site.moved["q.jpg"] = site.url("photo_unavailable.png")
    with pytest.raises(NotThere, match="taken down"):
        small(site.url("q.jpg"))
    for url in ("file:///etc/passwd", "ftp://127.0.0.1/a"):
        with pytest.raises(NotThere, match="no http address"):
            small(url)


def test_what_is_wrong_with_a_file(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(BODY)
    assert wrong(path, listed(site)) is None
    path.write_bytes(BODY[:-1])
    assert "md5" in (wrong(path, listed(site)) or "")
    sized = OfficialFile("GQA", "testdev_balanced", "images", "images", "", "", "", "", "", "", CHUNK)
    assert "bytes" in (wrong(path, sized) or "")
