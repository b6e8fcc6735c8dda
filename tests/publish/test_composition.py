from pathlib import Path

from mmevol.config.publish import CompositionSettings
from mmevol.publish.composition import composition, composition_table
from mmevol.publish.table import read_table
from mmevol.store import read_rows, write_rows
from small_study import Study


def test_counts_by_source_and_licence(study: Study, tmp_path: Path) -> None:
    settings = CompositionSettings(groups={"photos": "real", "world": "drawn"})
    composition(settings, shards=study.shards, audit=study.root / "seeds" / "audit.json", out=tmp_path / "composition")
    first, second = read_table(tmp_path / "composition.csv")
    assert (first["group"], first["source"], first["licence"], first["records"]) == ("drawn", "world", "CC0-1.0", "80")
    assert (second["group"], second["records"], second["pictures"], second["curated records"]) == (
        "real",
        "40",
        "40",
        "8",
    )
    records = [r for shard in study.shards for r in read_rows(shard, "seed")]
    total = sum(len(r.qas) for r in records)
    assert sum(int(r["own Q&A"]) + int(r["curated Q&A"]) for r in (first, second)) == total
    assert "Attribution, photos (CC-BY-2.0): A. Photographer" in (tmp_path / "composition.md").read_text()
    assert "30 records are held out" in (tmp_path / "composition.md").read_text()


def test_a_study_without_pictures_says_so(study: Study, tmp_path: Path) -> None:
    bare = tmp_path / "0.parquet"
    write_rows(bare, "seed", (r.model_copy(update={"image": None}) for r in read_rows(study.shards[0], "seed")))
    assert any("no pictures" in note for note in composition_table(CompositionSettings(), [bare], 0).notes)
    assert not any("no pictures" in note for note in composition_table(CompositionSettings(), study.shards, 0).notes)
