"""Fetching a benchmark: from the web or by hand into one layout, checked, shown to the study, and a second time nothing."""

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from mmevol.config import Run
from mmevol.endpoint.client import Outage
from mmevol.evaluate.benchmarks import rows
from mmevol.evaluate.official.catalog import OfficialFile, official
from mmevol.evaluate.official.fetch import fetch
from mmevol.evaluate.official.self_instruct import ALSO
from mmevol.evaluate.scoring.inputs import read_inputs
from mmevol.records import BadInput
from PIL import Image
from website import Site

TABLE = "index\tquestion\tA\tB\tanswer\timage\n"


def png(color: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(out, "PNG")
    return out.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return out.getvalue()


def served(site: Site, benchmark: str, bodies: dict[str, bytes], split: str | None = None) -> list[OfficialFile]:
    """The benchmark's files with their addresses here, and the checksums of `bodies` (by the last part of the address)."""
    site.files |= bodies
    made = []
    for file in official(benchmark, split):
        name = file.url.rsplit("/", 1)[-1]
        body = bodies.get(name, b"")
        md5 = hashlib.md5(body).hexdigest() if file.md5 else ""
        sha256 = hashlib.sha256(body).hexdigest() if file.sha256 else ""
        size = len(body) if file.bytes else 0
        made.append(replace(file, url=file.url and site.url(name), mirror="", md5=md5, sha256=sha256, bytes=size))
    return made


def seen(root: Path) -> dict[str, float]:
    return {str(path.relative_to(root)): path.lstat().st_mtime_ns for path in root.rglob("*")}


def test_a_table(site: Site, tmp_path: Path) -> None:
    files = served(site, "MMStar", {"MMStar.tsv": (TABLE + "1\tQ?\tx\ty\tA\t\n").encode()})
    root, out = tmp_path / "LMUData", tmp_path / "study" / "MMStar"
    fetch(files, run=Run(), root=root, out=out)
    assert sorted(path.name for path in root.rglob("*")) == ["MMStar.tsv"]
    assert (out / "data.tsv").read_bytes() == site.files["MMStar.tsv"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["editions"] == {"MMStar.tsv": "listed"} and str(tmp_path) not in (out / "manifest.json").read_text()
    assert manifest["files"] == {"data.tsv": hashlib.sha256(site.files["MMStar.tsv"]).hexdigest()}
    site.asked.clear()
    before, digest = seen(root), (out / "manifest.json").read_bytes()
    fetch(files, run=Run(), root=root, out=out)
    assert not site.asked and seen(root) == before and (out / "manifest.json").read_bytes() == digest


def test_a_table_put_there_by_hand(site: Site, tmp_path: Path) -> None:
    (file,) = served(site, "RealWorldQA", {"RealWorldQA.tsv": b"listed"})
    path = tmp_path / "RealWorldQA.tsv"
    file = replace(file, md5_before=hashlib.md5(b"before").hexdigest())
    for body, edition in ((b"listed", "listed"), (b"before", "before")):
        path.write_bytes(body)
        fetch([file], run=Run(), root=tmp_path, out=tmp_path / "out", offline=True)
        assert json.loads((tmp_path / "out/manifest.json").read_text())["editions"] == {path.name: edition}
    path.write_bytes(b"mine")
    with pytest.raises(BadInput, match=r"evaluate\.check: false"):
        fetch([file], run=Run(), root=tmp_path, out=tmp_path / "out")
    fetch([file], run=Run(), root=tmp_path, out=tmp_path / "out", check=False)
    assert json.loads((tmp_path / "out/manifest.json").read_text())["editions"] == {path.name: "another"}
    assert not site.asked


def test_a_table_in_parts(site: Site, tmp_path: Path) -> None:
    files = served(site, "MMStar", {})
    for number in (0, 1):
        (tmp_path / f"MMStar_part{number}.tsv").write_text(TABLE + f"{number}\tQ?\tx\ty\tA\t{'ab' * 40}\n")
    out = tmp_path / "out"
    fetch(files, run=Run(), root=tmp_path, out=out)
    assert [row.key for row in rows("MMStar", out, "plain")] == ["0", "1"]
    (out / "predictions.jsonl").write_text('{"index": 0, "prediction": "A"}\n')
    assert [row["index"] for row in read_inputs("MMStar", out).data] == ["0", "1"]
    (tmp_path / "MMStar_part0.tsv").rename(tmp_path / "MMStar_part3.tsv")
    with pytest.raises(BadInput, match="all of its parts"):
        fetch(files, run=Run(), root=tmp_path, out=tmp_path / "else")


def vqa_bodies(split: str) -> dict[str, bytes]:
    sub = {"test-dev": "test2015", "val": "val2014"}[split]
    year = {"test-dev": "test-dev2015", "val": "val2014"}[split]
    asked = [{"image_id": n, "question": "Q?", "question_id": n * 10} for n in (1, 2)]
    head = {"data_type": "mscoco", "data_subtype": year, "questions": asked}
    questions = {f"v2_OpenEnded_mscoco_{year}_questions.json": json.dumps(head).encode()}
    if split == "test-dev":
        more = {**head, "data_subtype": "test2015", "questions": [*asked, {**asked[0], "question_id": 99}]}
        questions["v2_OpenEnded_mscoco_test2015_questions.json"] = json.dumps(more).encode()
    pictures = {f"{sub}/COCO_{sub}_{n:012d}.jpg": png("red") for n in range(1, 9)}
    bodies = {
        f"v2_Questions_{'Test' if split == 'test-dev' else 'Val'}_mscoco.zip": zipped(questions),
        f"{sub}.zip": zipped({f"{sub}/": b"", **pictures}),
    }
    if split == "val":
        bodies["v2_Annotations_Val_mscoco.zip"] = zipped({"v2_mscoco_val2014_annotations.json": b'{"annotations": []}'})
    return bodies


@pytest.mark.parametrize("split", ["val", "test-dev"])
def test_vqa_and_its_pictures(site: Site, tmp_path: Path, split: str) -> None:
    files = served(site, "VQA_v2", vqa_bodies(split), split)
    root, out = tmp_path / "root", tmp_path / "out"
    fetch(files, run=Run(), root=root, out=out)
    assert [row.echo["question_id"] for row in rows("VQA_v2", out, "plain")] == [10, 20]
    assert all(row.picture() for row in rows("VQA_v2", out, "plain"))
    shown = {path.name for path in out.iterdir()}
    also = "annotations.json" if split == "val" else "submitted.json"
    assert shown == {"questions.json", also, "images", "manifest.json"}
    assert len(list((out / "images").iterdir())) == 2  # not the six that nothing is asked about
    assert not list(root.glob("**/*.zip")) and len(site.asked) == len(site.files)
    site.asked.clear()
    fetch(files, run=Run(), root=root, out=out)
    assert not site.asked


def test_an_archive_put_there_by_hand_stays(site: Site, tmp_path: Path) -> None:
    bodies = vqa_bodies("val")
    files = served(site, "VQA_v2", bodies, "val")
    for name, body in bodies.items():
        (tmp_path / name).write_bytes(body)
    fetch(files, run=Run(), root=tmp_path, out=tmp_path / "out")
    assert not site.asked and all((tmp_path / name).exists() for name in bodies)
    (tmp_path / "images/VQA_v2/val2014/COCO_val2014_000000000001.jpg").unlink()
    (tmp_path / "val2014.zip").write_bytes(b"another")
    with pytest.raises(BadInput, match="another file"):
        fetch(files, run=Run(), root=tmp_path, out=tmp_path / "out")


def gqa(site: Site) -> list[OfficialFile]:
    asked = {str(n): {"question": "Q?", "imageId": f"n{n}", "answer": "a"} for n in (1, 2)}
    body = {"testdev_balanced_questions.json": json.dumps(asked).encode(), "train_all_questions.json": bytes(3_000_000)}
    pictures = {f"images/n{n}.jpg": png("red") + bytes(400_000) for n in range(20)}
    return served(site, "GQA", {"questions1.2.zip": zipped(body), "images.zip": zipped(pictures)})


def test_gqa_reads_its_archives_from_afar(site: Site, tmp_path: Path) -> None:
    files = gqa(site)
    fetch(files, run=Run(), root=tmp_path, out=tmp_path / "out")
    assert len(list(rows("GQA", tmp_path / "out", "plain"))) == 2
    assert site.sent < sum(map(len, site.files.values())) / 3
    assert not (tmp_path / ".fetched").exists()


def test_gqa_without_ranges_takes_the_whole(site: Site, tmp_path: Path) -> None:
    files = gqa(site)
    site.ranges = False
    fetch(files, run=Run(), root=tmp_path, out=tmp_path / "out")
    assert len(list(rows("GQA", tmp_path / "out", "plain"))) == 2 and not (tmp_path / ".fetched").exists()


def mia(site: Site) -> list[OfficialFile]:
    items = [{"image": site.url(name), "instruction": "Do."} for name in ("1.jpg", "2.jpg", "1.jpg")]
    return served(
        site, "MIA-Bench", {"instruction_benchmark_all.json": json.dumps(items).encode(), "1.jpg": png("red")}
    )


def test_mia_takes_each_picture_from_its_address(site: Site, tmp_path: Path) -> None:
    files = mia(site)
    with pytest.raises(BadInput, match=r"1 of 2 pictures: .*2\.jpg answers 404"):
        fetch(files, run=Run(), root=tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    site.files["2.jpg"] = b"<html>not a picture</html>"
    with pytest.raises(BadInput, match="gives no picture"):
        fetch(files, run=Run(), root=tmp_path, out=tmp_path / "out")
    site.files["2.jpg"] = png("blue")
    site.asked.clear()
    fetch(files, run=Run(), root=tmp_path, out=tmp_path / "out")
    assert [path for path, _ in site.asked] == ["2.jpg"]
    assert [row.echo["image"] for row in rows("MIA-Bench", tmp_path / "out", "plain")] == ["1.jpg", "2.jpg", "1.jpg"]


def self_instruct(names: dict[str, str]) -> bytes:
    members = {}
    for number, task in enumerate(("chart", "table", "dashboard", "flowchart", "org", "layout", "iq", "maze")):
        folder = f"Multi-modal-Self-instruct/test/{names.get(task, task)}"
        item = {
            "question_id": 7,
            "image": f"{names.get(task, task)}/{number}.png",
            "text": "Q?",
            "answer": "a",
            "type": "t",
        }
        members[f"{folder}/{number}.png"] = png("red")
        if task == "maze":
            item |= {"image": f"{names.get(task, task)}_dataset2/eval/0.png", "markers": ["A1"]}
            members[f"{folder}/test/0.png"] = png("blue")
        members[f"{folder}/test_1k.jsonl"] = (json.dumps(item) + "\n").encode()
    return zipped(members | {"Multi-modal-Self-instruct/train/x.png": png("red")})


@pytest.mark.parametrize("names", [{}, ALSO])
def test_self_instruct_joins_its_tasks(site: Site, tmp_path: Path, names: dict[str, str]) -> None:
    files = served(site, "MMSInst", {"Multi-modal-Self-instruct.zip": self_instruct(names)})
    fetch(files, run=Run(), root=tmp_path, out=tmp_path / "out")
    read = list(rows("MMSInst", tmp_path / "out", "plain"))
    assert len(read) == len({row.key for row in read}) == 8 and all(row.picture() for row in read)
    assert read[-1].result("x")["markers"] == ["A1"] and read[-1].result("x")["source"] == "maze"
    site.asked.clear()
    fetch(files, run=Run(), root=tmp_path, out=tmp_path / "out")
    assert not site.asked


def test_offline_lists_everything_with_its_address(site: Site, tmp_path: Path) -> None:
    files = served(site, "VQA_v2", vqa_bodies("val"), "val")
    with pytest.raises(BadInput) as error:
        fetch(files, run=Run(), root=tmp_path, out=tmp_path / "out", offline=True)
    assert all(str(tmp_path / file.path) in str(error.value) and file.url in str(error.value) for file in files)
    assert not site.asked and not any(tmp_path.iterdir())


def test_a_dead_network_can_be_resumed(site: Site, tmp_path: Path) -> None:
    files = served(site, "MMStar", {"MMStar.tsv": bytes(100_000)})
    site.cuts = [60_000] + [0] * 5
    with pytest.raises(Outage, match="run again"):
        fetch(files, run=Run(), root=tmp_path, out=tmp_path / "out")
    site.asked.clear()
    fetch(files, run=Run(), root=tmp_path, out=tmp_path / "out")
    assert site.asked == [("MMStar.tsv", "bytes=60000-")]
