"""A round of a shard, end to end against real servers: what comes out of it, and what is asked for it."""

import base64
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.config import (
    Blind,
    Faults,
    Judge,
)
from mmevol.config.endpoints import Endpoint
from mmevol.evolve.ask import draw_direction, seed_versions, with_frontier
from mmevol.records import Frontier, Reason
from mmevol.store import order_of, read_rows, write_rows
from PIL import Image
from scripted import Heard, Server, candidate, good, identity, record
from shards import Make, Shard


@pytest.mark.parametrize(
    ("evolver", "judge", "requests"),
    [(4000, 2048, [10]), (2048, 2048, [5, 5]), (4000, 600, [4, 4, 2]), (100, 100, [1] * 10)],
)
def test_no_more_share_a_request_than_the_reply_has_room_for(
    shard: Make, server: Server, evolver: int, judge: int, requests: list[int]
) -> None:
    who = {
        "evolver_identity": identity(max_tokens=evolver),
        "judge_identity": identity(max_tokens=judge, temperature=0),
    }
    shard([record("a", 10)], qas_per_request=10, **who).ask()
    for task in ("evolve", "judge"):
        assert sorted((len(b["qas"]) for b in server.asked(task)), reverse=True) == requests


def test_each_parent_has_one_row_in_order_with_its_lineage(shard: Make, server: Server) -> None:
    s = shard()
    rows = s.ask()
    parents = [v for r in s.records for v in seed_versions(r)]
    assert [c.parent for c in rows] == parents
    assert len(rows) == 6
    for c in rows:
        assert c.failed is None
        assert c.version
        assert (c.version.line, c.version.parent, c.version.round) == (c.parent.id, c.parent.id, 1)
        assert (c.version.direction, c.direction, c.model) == ("reasoning", "reasoning", "scripted")
        assert c.version.qa.answer == f"the lamp {c.parent.id}"
        assert {v.name: v.value for v in c.verdicts} == {
            "improved": 1,
            "difficulty": 6,
            "faithful": 1,
            "image_needed": 1,
            "answered_blind": 0,
        }
    requests = json.loads(s.file(1, "candidates", "json").read_text())["requests"]
    assert requests == {"evolve": 3, "judge": 3, "blind": 6} == dict(Counter(b["task"] for b in server.asked()))


def test_many_qas_are_split_so_that_no_reply_gets_long(shard: Make, server: Server) -> None:
    rows = shard([record("a", 10)], judge=False, qas_per_request=4).ask()
    assert [len(b["qas"]) for b in server.asked()] == [4, 4, 2]
    assert [c.parent.id for c in rows] == sorted(c.parent.id for c in rows)
    assert len(rows) == 10


BAD_ITEMS: dict[str, tuple[Callable[[str], list[dict[str, Any]]], Reason]] = {
    "missing": (lambda i: [], Reason.MISSING),
    "wrong id": (lambda i: [candidate("x" + i)], Reason.MISSING),
    "no id": (lambda i: [{**candidate(i), "id": None}], Reason.MISSING),
    "an id that is a list": (lambda i: [{**candidate(i), "id": [i]}], Reason.MISSING),
    "no answer": (lambda i: [candidate(i, answer="")], Reason.EMPTY_ANSWER),
    "no text": (lambda i: [candidate(i, answer=7)], Reason.SCHEMA),
    "invented box": (lambda i: [candidate(i, answer="at [0.5, 0.1, 0.6, 0.2]")], Reason.INVENTED_BOX),
    "no cue": (lambda i: [candidate(i, question="What is it?")], Reason.NO_REASONING_CUE),
    "no item at all": (lambda i: ["text"], Reason.MISSING),  # type: ignore[list-item]
}


@pytest.mark.parametrize("bad", BAD_ITEMS)
def test_one_bad_item_fails_by_name_and_costs_its_neighbours_nothing(shard: Make, server: Server, bad: str) -> None:
    s = shard([record("a", 3)])
    items, reason = BAD_ITEMS[bad]
    victim = seed_versions(s.records[0])[1].id

    def answer(n: int, heard: Heard) -> Any:
        if heard.block["task"] != "evolve":
            return good(heard.block)
        ids = [qa["id"] for qa in heard.block["qas"]]
        return {"candidates": [x for i in reversed(ids) for x in (items(i) if i == victim else [candidate(i)])]}

    server.answer = answer
    rows = s.ask()
    assert [c.failed for c in rows] == [None, reason, None]
    assert [c.version is None for c in rows] == [False, True, False]
    assert [[qa["id"] for qa in b["qas"]] for b in server.asked("evolve")][1:] == [[victim], [victim]]
    assert len(server.asked("judge")[0]["qas"]) == 2
    ledger = s.eliminate()
    assert ledger == {
        "sent": 3,
        "survived": 2,
        "eliminated": {},
        "failed": {str(reason): 1},
        "requests": {"evolve": 3, "judge": 1, "blind": 2},
    }


def test_without_checks_only_what_cannot_be_read_fails(shard: Make, server: Server) -> None:
    server.answer = lambda n, heard: {
        "candidates": [
            candidate(qa["id"], question="In the caption?", answer="[0, 0, 1, 1]") for qa in heard.block["qas"]
        ]
    }
    assert [c.failed for c in shard([record("a")], judge=False, checks=False).ask()] == [None]


def test_an_eliminated_parent_is_tried_again_as_a_new_draw(shard: Make, server: Server) -> None:
    s = shard([record("a")])

    def answer(n: int, heard: Heard) -> Any:
        said = good(heard.block)
        for item in said.get("verdicts", []):
            item["improved"] = False
        return said

    server.answer = answer
    s.ask(1)
    assert s.eliminate(1)["eliminated"] == {"not_improved": 1}
    s.ask(2)
    first, second = [h for h in server.heard if h.block["task"] == "evolve"]
    assert first.block == second.block
    assert first.headers["X-MMEvol-Request"] != second.headers["X-MMEvol-Request"]
    one, two = (next(iter(read_rows(s.file(r, "candidates"), "candidate"))) for r in (1, 2))
    assert one.parent == two.parent
    assert one.version.id != two.version.id


FAULTS = Faults(
    malformed_json=0.1,
    truncated_json=0.1,
    invented_box=0.1,
    unimproved_copy=0.1,
    wrong_count=0.1,
    refusal=0.1,
    judge_wrong=0.1,
    http_500=0.03,
    drop=0.03,
)


def test_the_embedded_teacher_evolves_a_shard_to_the_same_bytes_at_any_concurrency(tmp_path: Path) -> None:
    made = []
    for n, concurrency in enumerate((2, 32)):
        endpoint = Endpoint(launch="embedded", faults=FAULTS, concurrency=concurrency)
        who = endpoint.identity()
        settings = {
            "directions": {"perceptual": 1, "reasoning": 1, "interactive": 1},
            "evolver_identity": who,
            "judge": Judge(endpoint="j", blind=Blind(draws=2)),
            "judge_identity": who.model_copy(update={"temperature": 0.0}),
        }
        many = [record(f"k{i}", 1 + i % 2) for i in range(12)]
        s = Shard(tmp_path / str(n), many, dict.fromkeys("ej", endpoint.connection()), settings)
        ledgers = []
        for round_ in (1, 2):
            s.ask(round_)
            ledgers.append(s.eliminate(round_))
        assert all(ledger["sent"] == 18 for ledger in ledgers)
        assert any(ledger["survived"] for ledger in ledgers)
        assert any(ledger["failed"] or ledger["eliminated"] for ledger in ledgers)
        made.append(s.data())
    assert made[0] == made[1]
    assert {c.direction for c in read_rows(s.file(1, "candidates"), "candidate")} == {*settings["directions"]}


@given(
    st.dictionaries(st.sampled_from("abcde"), st.sampled_from([0.0, 0.25, 1.0, 3.0]), min_size=1).filter(
        lambda w: sum(w.values()) > 0
    ),
    st.text(),
    st.integers(1, 20),
)
def test_a_direction_is_drawn_of_those_with_weight(weights: dict[str, float], key: str, round_: int) -> None:
    direction = draw_direction(weights, 7, key, round_)
    assert weights[direction] > 0
    assert draw_direction(dict(reversed(weights.items())), 7, key, round_) == direction


def test_directions_are_drawn_by_weight() -> None:
    drawn = Counter(draw_direction({"a": 1, "b": 1, "c": 2}, 7, f"k{i}", 1) for i in range(4000))
    assert drawn["a"] == pytest.approx(1000, abs=110)
    assert drawn["b"] == pytest.approx(1000, abs=110)
    assert any(
        draw_direction({"a": 1, "b": 1}, 7, "k", r) != draw_direction({"a": 1, "b": 1}, 7, "k", 1) for r in range(9)
    )
    assert any(
        draw_direction({"a": 1, "b": 1}, s, "k", 1) != draw_direction({"a": 1, "b": 1}, 7, "k", 1) for s in range(9)
    )


def test_a_frontier_of_other_seeds_is_an_error(tmp_path: Path) -> None:
    a, b = sorted([record("a"), record("b")], key=lambda r: order_of(r.key))
    write_rows(tmp_path / "seeds", "seed", [a])
    rows = [Frontier(version=v) for r in (a, b) for v in seed_versions(r)]
    write_rows(tmp_path / "frontier", "frontier", rows)
    with pytest.raises(AssertionError, match=f"record {b.key}"):
        list(with_frontier(tmp_path / "seeds", tmp_path / "frontier"))


def test_equal_seed_qas_are_one_line() -> None:
    r = record("a", 2)
    assert len(seed_versions(r.model_copy(update={"qas": [*r.qas, r.qas[0]]}))) == 2


def test_boxes_in_the_pixels_that_are_sent_are_the_objects_own(shard: Make, server: Server, tmp_path: Path) -> None:
    """A picture of 1999 × 901 px goes out as 200 × 90: a box comes back on a coarse grid and is still no invented one."""
    Image.new("RGB", (1999, 901)).save(tmp_path / "a.png")
    seen = record("a", 1, image="a.png", image_digest="d" * 64, width=1999, height=901)
    things = [o.model_copy(update={"bbox": (0.1234, 0.2345, 0.3456, 0.4567)}) for o in seen.objects[:1]]

    def answer(n: int, heard: Heard) -> Any:
        box = heard.block["objects"][0]["bbox"]
        shown = Image.open(
            io.BytesIO(base64.b64decode(heard.body["messages"][1]["content"][1]["image_url"]["url"][23:]))
        )
        assert box == [round(c * side) for c, side in zip(things[0].bbox, shown.size * 2, strict=True)]
        return {"candidates": [candidate(q["id"], answer=f"it is at {box}") for q in heard.block["qas"]]}

    server.answer = answer
    who = identity(box_dialect="pixels", image_side=200)
    s = shard(
        [seen.model_copy(update={"objects": things})], judge=False, evolver_identity=who, images_root=str(tmp_path)
    )
    (row,) = s.ask()
    assert row.failed is None
    assert len(server.heard) == 1
    assert row.version
    assert row.version.qa.answer == "it is at [0.125, 0.233, 0.345, 0.456]"
