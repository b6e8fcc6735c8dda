from pathlib import Path

from mmevol.config.publish import RoundsSettings
from mmevol.publish.elimination import Tried, elimination, elimination_table
from mmevol.publish.table import read_table
from mmevol.store import read_dicts
from small_study import Study


def test_recall_false_alarms_and_precision_by_hand() -> None:
    tried = [
        *[Tried("invented_box", "rejected", "invented_box")] * 2,
        Tried("invented_box", "failed", "invented_box"),
        Tried("invented_box", "survived", ""),
        *[Tried("wrong_count", "eliminated", "unfaithful")] * 2,
        *[Tried("", "survived", "")] * 6,
        *[Tried("", "eliminated", "unfaithful")] * 2,
    ]
    rows = {(r[0], r[1]): r[2:7] for r in elimination_table(tried).rows}
    assert rows == {
        ("recall", "all faults"): [6, 3, 2, 1, 5 / 6],
        ("recall", "invented_box"): [4, 3, 0, 1, 3 / 4],
        ("recall", "wrong_count"): [2, 0, 2, 0, 1.0],
        ("false alarms", "no fault"): [8, 0, 2, 6, 1 / 4],
        ("precision", "all stopped"): [7, 3, 4, 0, 5 / 7],
        ("precision", "invented_box"): [3, 3, 0, 0, 1.0],
        ("precision", "unfaithful"): [4, 0, 4, 0, 2 / 4],
    }


def test_nothing_tried_claims_nothing() -> None:
    rows = elimination_table([]).rows
    assert rows == [["false alarms", "no fault", 0, 0, 0, 0, None, None, None]]


def test_the_order_of_rows_does_not_matter() -> None:
    tried = [Tried("b", "failed", "y"), Tried("a", "eliminated", "x"), Tried("", "survived", "")]
    assert elimination_table(tried).rows == elimination_table(tried[::-1]).rows


def test_every_item_of_every_attempt_is_counted_once(study: Study, tmp_path: Path) -> None:
    settings = RoundsSettings(shards=2, evolutions={"full": [0, 1, 2, 3]})
    elimination(settings, evolve=study.root / "evolve", out=tmp_path / "elimination")
    rows = read_table(tmp_path / "elimination.csv")
    n = {(r["of"], r["name"]): int(r["n"]) for r in rows}
    items = sum(1 for _ in read_dicts(study.root / "evolve" / "full" / "faults.parquet"))
    assert n["recall", "all faults"] + n["false alarms", "no fault"] == items
    assert n["recall", "all faults"] == sum(v for (of, name), v in n.items() if of == "recall" and name != "all faults")
    assert {name for of, name in n if of == "recall"} == {"all faults", "copy", "invented_box", "wrong_count"}
    assert all(int(r["n"]) == sum(int(r[end]) for end in ("rejected", "eliminated", "survived")) for r in rows)
