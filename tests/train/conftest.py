import pytest
from mmevol.config.commands import BaseSettings, Run
from mmevol.records import QA, SeedRecord
from mmevol.store import write_rows
from tiny_study import MODEL, Study, evolved, record


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    from mmevol.train.backbone import base

    root = tmp_path_factory.mktemp("study")
    images = root / "images"
    images.mkdir()
    records = [record(number, images) for number in range(12)]
    blind = SeedRecord(
        key="12", id="12", image=None, image_digest=None, qas=[QA(question="Is one more than two?", answer="No")]
    )
    shards = [root / "0.parquet", root / "1.parquet"]
    write_rows(shards[0], "seed", records[:6])
    write_rows(shards[1], "seed", [*records[6:], blind])
    dataset = root / "evolved.parquet"
    write_rows(dataset, "version", [evolved(r, n) for r in records for n in (1, 2)])
    out = root / "tiny"
    base(BaseSettings(seed=1, model=MODEL), run=Run(), shards=shards, out=out)
    return Study(shards, {"full": dataset}, images, out)
