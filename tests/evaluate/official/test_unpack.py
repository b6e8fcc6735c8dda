"""Archives: only what is wanted comes out, only below its folder, and from afar only the bytes that are needed."""

import io
import stat
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.evaluate.official.archive import AHEAD, remote, unpack
from mmevol.evaluate.official.download import NotThere, Unreachable
from mmevol.records import BadInput
from website import Site


def packed(members: dict[str, bytes], *, links: tuple[str, ...] = (), method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, body in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK if name in links else stat.S_IFREG) << 16
            info.compress_type = method
            archive.writestr(info, body)
    out.seek(0)
    return out


def everything(_: str) -> bool:
    return True


def test_a_folder_wherever_it_is(tmp_path: Path) -> None:
    source = packed(
        {"top/images/1.jpg": b"one", "top/images/sub/2.jpg": b"two", "top/other/3.jpg": b"3", "images.txt": b""}
    )
    assert unpack(source, "a.zip", "images/", tmp_path / "i", everything) == 2
    assert (tmp_path / "i/1.jpg").read_bytes() == b"one" and (tmp_path / "i/sub/2.jpg").read_bytes() == b"two"
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 2


def test_only_what_is_wanted_and_a_file_by_its_name(tmp_path: Path) -> None:
    source = packed({"images/1.jpg": b"one", "images/2.jpg": b"two", "q/questions.json": b"{}"})
    assert unpack(source, "a.zip", "images/", tmp_path / "i", lambda name: name == "2.jpg") == 1
    assert [path.name for path in (tmp_path / "i").iterdir()] == ["2.jpg"]
    unpack(source, "a.zip", "questions.json", tmp_path / "else.json", everything)
    assert (tmp_path / "else.json").read_bytes() == b"{}"
    with pytest.raises(BadInput, match="nothing of that name"):
        unpack(source, "a.zip", "answers.json", tmp_path / "x", everything)


def test_what_is_there_whole_is_left(tmp_path: Path) -> None:
    source = packed({"images/1.jpg": b"one", "images/2.jpg": b"two"})
    (tmp_path / "1.jpg").write_bytes(b"ONE")
    (tmp_path / "2.jpg").write_bytes(b"tw")
    unpack(source, "a.zip", "images/", tmp_path, everything)
    assert (tmp_path / "1.jpg").read_bytes() == b"ONE" and (tmp_path / "2.jpg").read_bytes() == b"two"


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"images/../../evil": b"x"}, "outside"),
        ({"images//etc/passwd": b"x"}, "outside"),
        ({"images/..\\..\\evil": b"x"}, "outside"),
        ({"images/C:evil": b"x"}, "outside"),
        ({"images/link": b"/etc/passwd"}, "a link"),
        ({"images/bomb": bytes(50_000_000)}, "packed into"),
        ({"a/images/1": b"x", "b/images/1": b"y"}, "twice"),
    ],
)
def test_what_leads_outside_or_swells_is_refused(tmp_path: Path, members: dict[str, bytes], found: str) -> None:
    target = tmp_path / "root" / "images"
    with pytest.raises(BadInput, match=found):
        unpack(packed(members, links=("images/link",)), "a.zip", "images/", target, everything)
    assert not list(tmp_path.rglob("*"))


NAMES = st.lists(st.sampled_from(["images", "..", ".", "", "a", "b.jpg", "C:", "..\\x"]), min_size=1, max_size=5)


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_whatever_it_is_called_it_stays_inside(
    tmp_path_factory: pytest.TempPathFactory, names: list[list[str]]
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    target = outside / "deep" / "images"
    with suppress(BadInput):
        unpack(packed({"/".join(parts): b"x" for parts in names if any(parts)}), "a.zip", "images/", target, everything)
    assert all(path.is_dir() or path.is_relative_to(target) for path in outside.rglob("*"))


@pytest.mark.parametrize("broken", [b"", b"PK no zip", None])
def test_a_broken_archive(tmp_path: Path, broken: bytes | None) -> None:
    body = packed({"images/1.jpg": bytes(range(256)) * 64}, method=zipfile.ZIP_STORED).getvalue()
    damaged = body[:500] + b"\0" + body[501:] if broken is None else broken
    with pytest.raises(BadInput, match="a whole zip archive"):
        unpack(io.BytesIO(damaged), "a.zip", "images/", tmp_path / "i", everything)
    assert not (tmp_path / "i/1.jpg").exists()


def test_from_afar_only_what_is_needed(site: Site, tmp_path: Path) -> None:
    big = {f"images/{n}.jpg": bytes([n]) * 1_000_000 for n in range(20)}
    site.files["images.zip"] = packed(big | {"images/small.jpg": b"small"}, method=zipfile.ZIP_STORED).getvalue()
    site.cuts, site.errors = [1, 100], [503]
    come: list[int] = []
    with remote(site.url("images.zip"), len(site.files["images.zip"]), come.append) as source:
        assert source is not None
        unpack(source, "images.zip", "images/", tmp_path, lambda name: name in ("small.jpg", "7.jpg"))
    assert (tmp_path / "small.jpg").read_bytes() == b"small"
    assert (tmp_path / "7.jpg").read_bytes() == big["images/7.jpg"]
    assert sum(come) < 1_000_000 + 8 * AHEAD < len(site.files["images.zip"]) / 4


def test_from_afar_not_at_all(site: Site, tmp_path: Path) -> None:
    site.files["a.zip"] = packed({"images/1.jpg": b"one"}).getvalue()
    with pytest.raises(NotThere, match="another file"), remote(site.url("a.zip"), 5, lambda _: None):
        pass
    with pytest.raises(NotThere, match="404"), remote(site.url("b.zip"), 0, lambda _: None):
        pass
    site.errors = [500] * 9
    with pytest.raises(Unreachable), remote(site.url("a.zip"), 0, lambda _: None):
        pass
    site.errors, site.ranges = [], False
    with remote(site.url("a.zip"), 0, lambda _: None) as source:
        assert source is None
