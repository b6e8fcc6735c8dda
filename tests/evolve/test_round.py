"""A round of a shard, end to end against real servers: what comes out, what is asked, what outages and kills leave behind."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.config import (
    AskSettings,
    Blind,
    Budget,
    Connection,
    Eliminate,
    EliminateSettings,
    Faults,
    Judge,
    Run,
)
from mmevol.config.endpoints import Endpoint
from mmevol.endpoint.client import Outage
from mmevol.evolve.ask import ask, draw_direction, seed_versions, with_frontier
from mmevol.evolve.eliminate import eliminate
from mmevol.records import BadInput, Candidate, Frontier, Reason, SeedRecord, fraction
from mmevol.store import order_of, read_rows, write_rows
from PIL import Image
from scripted import Heard, Reply, Server, candidate, connection, good, identity, record, verdict


@dataclass
class Shard:
    """A shard of seed records in a folder, with a reply store of its own, and the rounds asked of it."""

    root: Path
    records: list[SeedRecord]
    connections: dict[str, Connection]
    settings: dict[str, Any] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.records.sort(key=lambda r: order_of(r.key))
        write_rows(self.seeds, "seed", self.records)

    @property
    def seeds(self) -> Path:
        return self.root / "seeds.parquet"

    def file(self, round_: int, kind: str, suffix: str = "parquet") -> Path:
        return self.root / f"evolve/full/round_{round_}/{kind}/0.{suffix}"

    def of(self, round_: int) -> AskSettings:
        base = {
            "seed": 7,
            "round": round_,
            "directions": {"reasoning": 1},
            "evolver": "e",
            "evolver_identity": identity(),
        }
        return AskSettings(**base | self.settings)

    def paths(self, round_: int) -> dict[str, Any]:
        frontier = self.file(round_ - 1, "frontier") if round_ > 1 else None
        out, usage = self.file(round_, "candidates"), self.file(round_, "usage", "json")
        return {"shard": 0, "seeds": self.seeds, "frontier": frontier, "out": out, "usage": usage}

    def ask(self, round_: int = 1) -> list[Candidate]:
        before = os.environ.get("MMEVOL_REPLIES")
        os.environ["MMEVOL_REPLIES"] = str(self.root / "replies")
        try:
            ask(self.of(round_), Run(connections=self.connections, budget=self.budget), **self.paths(round_))
        finally:
            os.environ.pop("MMEVOL_REPLIES")
            os.environ |= {"MMEVOL_REPLIES": before} if before else {}
        return list(read_rows(self.file(round_, "candidates"), "candidate"))

    def eliminate(self, round_: int = 1, thresholds: Eliminate | None = None) -> dict[str, Any]:
        eliminate(
            EliminateSettings(thresholds=thresholds or Eliminate()),
            candidates=self.file(round_, "candidates"),
            before=self.paths(round_)["frontier"],
            requests=self.file(round_, "candidates", "json"),
            frontier=self.file(round_, "frontier"),
            outcomes=self.file(round_, "ledger"),
            ledger=self.file(round_, "ledger", "json"),
        )
        ledger: dict[str, Any] = json.loads(self.file(round_, "ledger", "json").read_text())
        return ledger

    def usage(self, round_: int = 1) -> dict[str, Any]:
        rows = json.loads(self.file(round_, "usage", "json").read_text())["endpoints"]
        return {k: sum(row[k] for row in rows) for k in ("asked", "from_store", "input_tokens", "output_tokens")}

    def data(self) -> dict[str, bytes]:
        """The data files, without the facts of the run and what a killed writer left under a temporary name."""
        files = {p.relative_to(self.root).as_posix(): p for p in (self.root / "evolve").rglob("[!.]*") if p.is_file()}
        return {name: path.read_bytes() for name, path in sorted(files.items()) if "/usage/" not in name}


Make = Callable[..., Shard]


@pytest.fixture
def shard(tmp_path: Path, server: Server) -> Make:
    """Makes a shard that asks the scripted server, judging too unless told otherwise."""
    made: list[Shard] = []

    def make(records: Iterable[SeedRecord] | None = None, judge: bool = True, **settings: Any) -> Shard:
        own = {k: settings.pop(k) for k in ("budget",) if k in settings}
        to = {n: connection(server, **settings.pop("connection", {})) for n in "ej"}
        some = list(records or [record("a", 2), record("b"), record("c", 3), record("empty", 0)])
        if judge:
            settings = {"judge": Judge(endpoint="j"), "judge_identity": identity(temperature=0)} | settings
        made.append(Shard(tmp_path / f"s{len(made)}", some, to, settings, **own))
        return made[-1]

    return make


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


def test_the_judge_compares_the_candidate_with_its_parent_under_one_id(shard: Make, server: Server) -> None:
    rows = shard([record("a", 2)]).ask()
    (block,) = server.asked("judge")
    assert (
        [qa["id"] for qa in block["qas"]]
        == [qa["id"] for qa in block["compare_with"]]
        == [c.version.id for c in rows if c.version]
    )
    assert [qa["question"] for qa in block["compare_with"]] == [c.parent.qa.question for c in rows]
    assert [qa["question"] for qa in block["qas"]] == [c.version.qa.question for c in rows if c.version]
    assert block["caption"]
    assert block["objects"]


def test_the_judge_compares_with_the_seed_or_sees_less_where_the_study_says_so(shard: Make, server: Server) -> None:
    s = shard([record("a")], judge=True)
    s.settings["judge"] = Judge(endpoint="j", compare_with="seed", sees_annotations=False, blind=None)
    s.ask(1)
    s.eliminate(1)
    s.ask(2)
    one, two = server.asked("judge")
    assert one["compare_with"][0]["question"] == two["compare_with"][0]["question"] == s.records[0].qas[0].question
    assert "caption" not in one
    assert "objects" not in one
    assert not server.asked("blind")


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


def test_a_candidate_without_verdict_is_unjudged(shard: Make, server: Server) -> None:
    s = shard([record("a", 2)])

    def answer(n: int, heard: Heard) -> Any:
        if heard.block["task"] != "judge":
            return good(heard.block)
        first = min(qa["id"] for qa in heard.block["qas"])
        return {"verdicts": [verdict(qa["id"], difficulty=99 if qa["id"] == first else 5) for qa in heard.block["qas"]]}

    server.answer = answer
    rows = s.ask()
    assert sorted(len(c.verdicts) for c in rows) == [0, 5]
    assert s.eliminate()["eliminated"] == {"unjudged": 1}


def test_round_0_judges_the_seeds_against_themselves(shard: Make, server: Server) -> None:
    rows = shard([record("a", 2)]).ask(0)
    assert [b["task"] for b in server.asked()] == ["judge"]
    block = server.asked()[0]
    assert block["qas"] == block["compare_with"]
    assert all(c.version == c.parent and c.round == 0 and len(c.verdicts) == 4 for c in rows)


def test_a_second_run_asks_nothing_and_writes_the_same_bytes(shard: Make, server: Server) -> None:
    s = shard()
    for round_ in (1, 2):
        s.ask(round_)
        s.eliminate(round_)
    before, heard = s.data(), len(server.heard)
    asked = s.usage(1)["asked"]
    for round_ in (1, 2):
        s.ask(round_)
        s.eliminate(round_)
    assert s.data() == before
    assert len(server.heard) == heard
    assert s.usage(1) == {"asked": 0, "from_store": asked, "input_tokens": 0, "output_tokens": 0}


def test_a_changed_threshold_asks_nothing_about_what_did_not_change(shard: Make, server: Server) -> None:
    s = shard()
    s.ask(1)
    heard = len(server.heard)
    s.eliminate(1, Eliminate(min_difficulty=9))
    s.ask(1)
    assert len(server.heard) == heard


def test_two_evolutions_that_share_requests_pay_once(shard: Make, server: Server) -> None:
    s = shard()
    s.ask(1)
    heard = len(server.heard)
    other = Shard(s.root, s.records, s.connections, s.settings | {"judge": None})
    other.ask(1)
    assert len(server.heard) == heard


def test_concurrency_and_the_order_of_arrival_change_no_byte(shard: Make, server: Server) -> None:
    def answer(n: int, heard: Heard) -> Reply:
        return Reply(good(heard.block), delay=0.03 * fraction(n, heard.headers["X-MMEvol-Request"]))

    server.answer = answer
    many = [record(f"k{i}", 1 + i % 3) for i in range(12)]
    made = []
    for concurrency in (1, 16):
        s = shard(many, connection={"concurrency": concurrency})
        for round_ in (1, 2):
            s.ask(round_)
            s.eliminate(round_)
        made.append(s.data())
    assert made[0] == made[1]
    assert len(made[0]) == 12


def test_another_port_changes_no_key(shard: Make, server: Server) -> None:
    s = shard()
    s.ask()
    other = Server()
    try:
        s.connections = {n: connection(other) for n in "ej"}
        s.ask()
        assert not other.heard
    finally:
        other.close()


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


def test_an_outage_writes_nothing_and_the_next_run_resumes(shard: Make, server: Server) -> None:
    alive, whole, limit = shard(), shard(), 0
    alive.ask()
    answered = Counter[str]()

    def answer(n: int, heard: Heard) -> Any:
        if len(answered) >= limit:
            return Reply(status=503)
        answered[heard.headers["X-MMEvol-Request"]] += 1
        return good(heard.block)

    server.answer = answer
    whole.connections = {n: c.model_copy(update={"patience": 0.3}) for n, c in whole.connections.items()}
    for limit in (2, 5, 9):  # noqa: B007 (the server reads it)
        with pytest.raises(Outage, match="no answer for"):
            whole.ask()
        assert whole.data() == {}
    limit = 1000
    whole.ask()
    assert whole.data() == alive.data()
    assert set(answered.values()) == {1}
    assert whole.usage()["from_store"] == 9


def test_a_budget_ends_the_run_cleanly_and_more_of_it_resumes(shard: Make, server: Server) -> None:
    s = shard(budget=Budget(requests=5))
    with pytest.raises(Outage, match=r"evolve\.budget\.requests of this shard is spent \(5 of 5\)"):
        s.ask()
    assert s.data() == {}
    assert len(server.heard) == 5
    s.budget = Budget()
    s.ask()
    assert s.usage() == {"asked": 7, "from_store": 5, "input_tokens": 700, "output_tokens": 70}


def test_a_refused_key_at_the_start_spends_and_writes_nothing(
    shard: Make, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.models_status = 401
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    s = shard(connection={"api_key_env": "SOME_KEY"})
    with pytest.raises(BadInput) as caught:
        s.ask()
    assert caught.value.field == "endpoints.e.api_key_env"
    assert s.data() == {}
    assert not server.heard
    assert not list((s.root / "replies").rglob("*.log"))


def test_no_key_is_in_any_artefact(shard: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    s = shard(connection={"api_key_env": "SOME_KEY"})
    s.ask()
    s.eliminate()
    files = [p for p in s.root.rglob("*") if p.is_file()]
    assert len(files) > 8
    assert not [p for p in files if b"sk-very" in p.read_bytes()]


RATES = [("429", 0.05), ("500", 0.05), ("cut", 0.08), ("drop", 0.03), ("hang", 0.02), ("ids", 0.05), ("prose", 0.05)]


def test_under_faults_all_ends_typed_and_no_truncated_reply_is_data(shard: Make, server: Server) -> None:
    """Transport faults leave no trace in the data; content faults are tried again, and what then fails has a reason."""

    def answer(n: int, heard: Heard) -> Any:
        of = [heard.headers[f"X-MMEvol-{x}"] for x in ("Request", "Content-Attempt", "Transport-Attempt")]
        at, fault = fraction(*of), ""
        for name, rate in RATES:
            if 0 <= at < rate:
                fault = name
            at -= rate
        said = good(heard.block)
        whole = json.dumps(said)
        match fault:
            case "429":
                return Reply(status=429, headers={"Retry-After": "0.05"})
            case "500":
                return Reply(status=500)
            case "cut":
                return Reply(whole.replace("lamp", "CUT")[:-30], finish="length")
            case "drop" | "hang":
                return Reply(act=fault)
            case "ids":
                return whole.replace('"id": "', '"id": "x')
            case "prose":
                return f"Here it is:\n{whole}\nDone."
        return said

    server.answer = answer
    many = [record(f"k{i}", 1 + i % 3) for i in range(40)]
    s = shard(many, connection={"concurrency": 32, "timeout": 0.5, "patience": 60})
    rows = s.ask()
    ledger = s.eliminate()
    assert len(rows) == sum(len(r.qas) for r in s.records) == ledger["sent"]
    assert ledger["survived"] + sum(ledger["eliminated"].values()) + sum(ledger["failed"].values()) == ledger["sent"]
    assert ledger["survived"] > 0.9 * ledger["sent"]
    assert not any("CUT" in str(c) for c in rows)
    errors = sum(
        (Counter(e["errors"]) for e in json.loads(s.file(1, "usage", "json").read_text())["endpoints"]), Counter()
    )
    assert {"429", "500", "timeout"} <= set(errors)
    server.answer = lambda n, heard: Reply(status=500)
    before = s.data()
    s.ask()
    s.eliminate()
    assert s.data() == before


KILLED = """
import json, sys
from pathlib import Path
from mmevol.config import AskSettings, Run
from mmevol.evolve.ask import ask
settings, run, paths = sys.argv[1:]
paths = {k: Path(v) if isinstance(v, str) else v for k, v in json.loads(paths).items()}
ask(AskSettings.model_validate_json(settings), Run.model_validate_json(run), **paths)
"""


def test_kill_9_in_the_middle_changes_no_byte_and_asks_only_what_was_in_flight_again(
    shard: Make, server: Server
) -> None:
    many = [record(f"k{i}", 1 + i % 3) for i in range(30)]
    whole, killed = shard(many), shard(many, connection={"concurrency": 8})
    whole.ask()
    server.answer = lambda n, heard: Reply(good(heard.block), delay=0.02)
    total, kills = len(server.heard), 0
    server.heard.clear()
    run = Run(connections=killed.connections).dump()
    paths = {k: str(v) if isinstance(v, Path) else v for k, v in killed.paths(1).items()}
    command = [sys.executable, "-c", KILLED, killed.of(1).dump(), run, json.dumps(paths)]
    environment = os.environ | {"MMEVOL_REPLIES": str(killed.root / "replies")}
    for goal in (15, 40, 70):
        with subprocess.Popen(command, env=environment) as process:
            while len(server.heard) < goal and process.poll() is None:
                time.sleep(0.002)
            assert process.poll() is None
            os.kill(process.pid, signal.SIGKILL)
        kills += 1
        assert not any(p.name == "0.parquet" for p in (killed.root / "evolve").rglob("*.parquet"))
    killed.ask()
    assert killed.data() == whole.data()
    assert total <= len(server.heard) <= total + kills * 8 * 2  # evolver and judge have 8 in flight each


# --------------------------------------------------------------------------------------------------- the embedded teacher

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


# ------------------------------------------------------------------------------------------------------------------ parts


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
