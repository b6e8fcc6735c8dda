"""Export and replay: what a study's data rest on, no more and no less, and the study again from it with nobody to ask."""

import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from mmevol.cache.archive import export, replay
from mmevol.cache.survey import stats
from mmevol.config.resolve import resolve
from mmevol.config.study import Study
from mmevol.endpoint.client import Outage
from mmevol.evolve.ask import ask
from mmevol.evolve.dataset import dataset
from mmevol.evolve.eliminate import eliminate
from mmevol.evolve.scratch import scratch
from mmevol.records import BadInput, SeedRecord, digest
from mmevol.replies import Log
from mmevol.seeds.curate import curate
from mmevol.segments import frames
from mmevol.store import order_of, shard_of, write_json, write_rows
from PIL import Image
from scripted import Heard, Reply, Server, good, record

NOWHERE = "http://127.0.0.1:9/v1"


@dataclass
class Place:
    """A study in a folder of its own, run stage by stage without Snakemake; relative paths start there."""

    folder: Path
    url: str
    shards: int = 2
    name: str = "small"
    target: int = 0

    @property
    def study(self) -> Study:
        endpoint = {"base_url": self.url, "model": "scripted", "concurrency": 4, "patience": 5}
        evolution = {"rounds": 2, "directions": {"reasoning": 1}, "content_attempts": 2}
        fresh = {"from": "scratch", "calls": {"same_as": "full"}}
        raw = {
            "study": self.name,
            "endpoints": {"evolver": endpoint, "judge": endpoint | {"temperature": 0}},
            "seeds": {"source": "seeds.jsonl", "images_root": "pictures", "curate": {"endpoint": "evolver"}},
            "evolve": {"shards": self.shards, "evolutions": {"full": evolution, "fresh": fresh}},
        }
        if self.target:
            raw["evolve"] |= {"target": {"survivors": self.target}}
        return resolve(raw, "small.yaml")

    def prepare(self, records: list[SeedRecord]) -> None:
        (self.folder / "pictures").mkdir(parents=True)
        os.chdir(self.folder)
        for key in {r.image for r in records if r.image}:
            Image.new("RGB", (40, 30), f"#{digest(key)[:6]}").save(Path("pictures") / key)
        for shard in self.study.shards:
            rows = sorted((r for r in records if shard_of(r.key, self.shards) == shard), key=lambda r: order_of(r.key))
            write_rows(Path(f"{self.study.results}/seeds/audited/{shard}.parquet"), "seed", rows)
        write_json(Path(f"{self.study.results}/seeds/audit.json"), {"excluded": [], "licence": {}, "source": {}})

    def run(self) -> dict[str, bytes]:
        """Every stage that asks or follows; the data files."""
        os.chdir(self.folder)
        s, run = self.study, self.study.run()
        for shard in s.shards:
            seeds = Path(f"{s.results}/seeds/shards/{shard}.parquet")
            usage = Path(f"usage/{shard}.json")
            audited = Path(f"{s.results}/seeds/audited/{shard}.parquet")
            curate(s.curate_settings(), run, shard=shard, records=audited, out=seeds, usage=usage)
            for n in (1, 0, 2) if self.target else (0, 1, 2):  # with a target, round 1 says whose seeds are judged
                file = {k: Path(s.round_file("full", n, k, shard)) for k in ("candidates", "frontier", "ledger")}
                earlier = s.frontier("full", n - 1, shard) if n else s.taken("full", shard)
                before = next(map(Path, earlier), None)
                out = file["candidates"]
                ask(s.ask_settings("full", n), run, shard=shard, seeds=seeds, frontier=before, out=out, usage=usage)
                if n:
                    eliminate(
                        s.eliminate_settings("full", n),
                        candidates=out,
                        before=before,
                        requests=out.with_suffix(".json"),
                        frontier=file["frontier"],
                        outcomes=file["ledger"],
                        ledger=file["ledger"].with_suffix(".json"),
                    )
            file = {k: Path(s.round_file("fresh", 1, k, shard)) for k in ("candidates", "ledger")}
            scratch(
                s.scratch_settings("fresh"),
                run,
                shard=shard,
                seeds=seeds,
                ledgers=[Path(p) for p in s.matched_ledgers("fresh", shard)],
                out=file["candidates"],
                outcomes=file["ledger"],
                ledger=file["ledger"].with_suffix(".json"),
                usage=usage,
            )
        out = Path(s.dataset("full")).parent
        dataset(s.dataset_settings("full"), root=Path(s.results), out=out)
        return self.data()

    def data(self) -> dict[str, bytes]:
        evolve = Path(f"{self.study.results}/evolve")
        return {str(p): p.read_bytes() for p in sorted(evolve.rglob("*")) if p.is_file()}

    def export(self, out: Path, *, images: bool = False) -> dict[str, int]:
        os.chdir(self.folder)
        return export(self.study, Path("replies"), out, images=images, on_shard=lambda _: None)


def some_records() -> list[SeedRecord]:
    def pictured(key: str, qas: int) -> SeedRecord:
        image = f"{key}.png"
        return record(key, qas, image=image, image_digest=digest(image), width=40, height=30)

    return [pictured(f"r{n}", n % 3) for n in range(12)]


def with_faults(n: int, heard: Heard) -> Any:
    """Good answers, but for those that a hash spoils, so that second attempts are asked for."""
    return Reply("{") if digest(heard.headers["X-MMEvol-Request"])[0] in "012" else good(heard.block)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Server]:
    running = Server()
    running.answer = with_faults
    yield running
    running.close()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, endpoint: Server) -> Place:
    """A study that has run against the scripted server, to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MMEVOL_REPLIES", "MMEVOL_RESULTS"):
            patch.delenv(name, raising=False)
        patch.chdir(tmp_path_factory.mktemp("ran"))
        made = Place(Path.cwd() / "first", endpoint.base_url)
        made.prepare(some_records())
        made.run()
    return made


@pytest.fixture
def place(ran: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The study that has run, in a folder of the test's own, which is the working folder."""
    for name in ("MMEVOL_REPLIES", "MMEVOL_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(ran.folder, tmp_path / "first")
    monkeypatch.chdir(tmp_path / "first")
    return replace(ran, folder=tmp_path / "first")


def test_a_study_is_made_again_from_its_archive_with_nobody_to_ask(
    place: Place, endpoint: Server, tmp_path: Path
) -> None:
    data, answers, heard = place.data(), stats(Path("replies")).answers, len(endpoint.heard)
    archive = tmp_path / "answers.tar.zst"
    counts = place.export(archive)
    assert counts == {"requests": answers}
    later = Place(tmp_path / "later", NOWHERE)
    later.prepare(some_records())
    assert replay(archive, Path("replies")) == (answers, 0)
    assert later.run() == data
    assert len(endpoint.heard) == heard
    assert replay(archive, Path("replies")) == (0, answers)
    again = tmp_path / "again.tar.zst"
    later.export(again)
    assert again.read_bytes() == archive.read_bytes()


def test_a_study_with_a_target_rests_on_what_it_took(
    endpoint: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MMEVOL_REPLIES", "MMEVOL_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    first, later = (Place(tmp_path / n, url, target=4) for n, url in (("one", endpoint.base_url), ("two", NOWHERE)))
    first.prepare(some_records())
    data = first.run()
    first.export(tmp_path / "answers.tar.zst")
    later.prepare(some_records())
    replay(tmp_path / "answers.tar.zst", Path("replies"))
    assert later.run() == data


def test_without_the_archive_the_same_run_would_have_failed(place: Place, tmp_path: Path) -> None:
    later = Place(tmp_path / "later", NOWHERE)
    later.prepare(some_records())
    with pytest.raises((BadInput, Outage)):
        later.run()


def test_only_what_the_study_rests_on_is_exported(place: Place, tmp_path: Path) -> None:
    """Another study asks about the same records of the same model, with other draws; damage and duplicates are left behind."""
    archive, again = tmp_path / "a.tar.zst", tmp_path / "b.tar.zst"
    place.export(archive)
    other = Place(place.folder, place.url, name="other")
    results = place.study.results.removesuffix("small")
    (Path(results) / "other").symlink_to("small")
    ask_more = other.study.ask_settings("full", 1).model_copy(update={"qas_per_request": 1})
    seeds = Path(f"{place.study.results}/seeds/shards/0.parquet")
    answers = stats(Path("replies")).answers
    ask(
        ask_more,
        other.study.run(),
        shard=0,
        seeds=seeds,
        frontier=None,
        out=tmp_path / "x/y/z.parquet",
        usage=tmp_path / "u",
    )
    assert stats(Path("replies")).answers > answers
    place.export(again)
    assert archive.read_bytes() == again.read_bytes()


def test_pictures_travel_when_asked_for(place: Place, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.zst"
    counts = place.export(archive, images=True)
    assert counts["images"] == 12
    replay(archive, tmp_path / "elsewhere")
    assert stats(tmp_path / "elsewhere").images == 12
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o700
    assert stats(tmp_path / "elsewhere").answers == counts["requests"]


def test_an_unfinished_study_is_not_exported(place: Place, tmp_path: Path) -> None:
    (log, *_) = sorted(Path("replies/requests").rglob("*.log"))
    log.with_suffix(".idx").unlink()
    log.write_bytes(b"")
    with pytest.raises(BadInput, match="no answer of scripted") as error:
        place.export(tmp_path / "a.tar.zst")
    assert "snakemake dataset" in str(error.value)
    assert not list(tmp_path.glob("*.zst"))


def test_an_archive_unpacked_by_hand_is_a_store(place: Place, tmp_path: Path) -> None:
    place.export(tmp_path / "a.tar.zst")
    with (
        pa.CompressedInputStream(pa.OSFile(str(tmp_path / "a.tar.zst")), "zstd") as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        tar.extractall(tmp_path / "store")
    assert json.loads((tmp_path / "store/manifest.json").read_text())["requests"] == stats(Path("replies")).answers
    assert stats(tmp_path / "store").by == stats(Path("replies")).by
    for folder in (tmp_path / "store/requests").iterdir():
        assert all(Log(folder).get(k) == p for log in folder.glob("*.log") for k, _, p in frames(log))


def test_a_file_that_is_no_whole_archive_is_refused(place: Place, tmp_path: Path) -> None:
    place.export(tmp_path / "a.tar.zst")
    whole = (tmp_path / "a.tar.zst").read_bytes()
    broken = tmp_path / "broken.tar.zst"
    with pytest.raises(BadInput, match="no such file"):
        replay(broken, tmp_path / "store")
    for content in (whole[: len(whole) // 2], b"PK" + whole[2:], b""):
        broken.write_bytes(content)
        with pytest.raises(BadInput, match=r"broken\.tar\.zst"):
            replay(broken, tmp_path / "store")
    unpacked = bytearray(pa.CompressedInputStream(pa.OSFile(str(tmp_path / "a.tar.zst")), "zstd").read())
    unpacked[1000] ^= 1  # in the first answer
    with pa.CompressedOutputStream(pa.OSFile(str(broken), "wb"), "zstd") as stream:
        stream.write(bytes(unpacked))
    with pytest.raises(BadInput, match="whole answers and pictures of"):
        replay(broken, tmp_path / "store")
