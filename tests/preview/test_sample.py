"""The sample: the records that the whole audit gives, in hash order."""

from pathlib import Path

import pytest
from builder import RECORDS, Make
from mmevol.preview.sample import sample, source_of
from mmevol.records import BadInput, SeedRecord
from mmevol.seeds.audit import audit
from mmevol.seeds.world import draw
from mmevol.store import rank_of, read_rows


def audited(study: object, tmp_path: Path) -> dict[str, SeedRecord]:
    settings = study.audit_settings()  # type: ignore[attr-defined]
    with source_of(study) as source:  # type: ignore[arg-type]
        audit(settings, records=source.records, images_root=source.images, out=tmp_path / "audit")
    files = (tmp_path / "audit/audited").glob("*.parquet")
    return {r.key: r for f in files for r in read_rows(f, "seed")}


@pytest.mark.parametrize("seeds", [{}, {"heldout": 0.4}, {"limit": 11}, {"limit": 9, "heldout": 0.3}])
def test_the_sample_is_of_the_records_that_the_audit_gives(
    study: Make, tmp_path: Path, seeds: dict[str, object]
) -> None:
    of = study(seeds)
    whole = audited(of, tmp_path)
    with source_of(of) as source:
        some = sample(of, source, first=4, spread=5)
        all_ = sample(of, source, first=6, spread=1000)
    order = sorted(whole, key=lambda key: rank_of(of.seed, key))
    assert [r.key for r in some.first] == order[:4]
    assert all(r == whole[r.key] for r in some.records)
    assert len({r.key for r in some.records}) == len(some.records) > 4
    assert {r.key for r in all_.records} == set(whole)
    assert all_.population == len(whole)
    assert abs(some.population - len(whole)) <= 0.35 * RECORDS


def test_shares_add_up_to_what_is_taken(study: Make) -> None:
    of = study()
    with source_of(of) as source:
        some = sample(of, source, first=4, spread=5)
    assert some.shares(30) == [1, 1, 1, 1] + [26 / 5] * 5
    assert some.shares(2.5) == [1, 1, 0.5, 0] + [0] * 5


def test_a_mistake_in_a_record_of_the_sample_names_the_users_file(study: Make, tmp_path: Path) -> None:
    for path in (tmp_path / "images").iterdir():
        path.write_bytes(b"no picture")
    of = study()
    with source_of(of) as source, pytest.raises(BadInput, match=r"seeds\.json:\d+ \(rec-\d+\)"):
        sample(of, source, first=4)


def test_what_an_earlier_run_drew_is_not_taken_for_it(study: Make) -> None:
    few, many = (study({"source": "world", "images": n, "images_root": None}) for n in (4, 12))
    draw(few.draw_settings(), records=Path(few.records), images=Path(few.images_root or ""))
    with source_of(many) as source:
        assert len(source.records.read_text().splitlines()) == 12


def test_what_a_study_draws_is_drawn_for_the_plan_alone(study: Make, tmp_path: Path) -> None:
    of = study({"source": "world", "images": 12, "images_root": None})
    with source_of(of) as source:
        assert source.records.exists()
        assert len(sample(of, source, first=3).first) == 3
        folder = source.records.parent
    assert not folder.exists()
    assert not (tmp_path / "results").exists()
