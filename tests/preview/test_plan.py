"""The plan: what it counts is what the run asks, and what is answered is free."""

import asyncio
import json
from collections import Counter
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from builder import RECORDS, Make
from mmevol.config.study import Study
from mmevol.preview.forecast import Assumed, Cell, Evolver, Forecast, Forecaster, Place, typical
from mmevol.preview.plan import Plan, make
from mmevol.preview.report import figures, show, summary
from mmevol.preview.sample import sample, source_of
from mmevol.preview.trial import Trial
from mmevol.records import BadInput
from scripted import Heard, Reply, Server, good, verdict

PRICES = {"input": 2.0, "cached_input": 1.0, "output": 8.0}


def planned(study: Study) -> Plan:
    with source_of(study) as source:
        return make(study, source)


def run_all(study: Study, folder: Path, n: int = RECORDS) -> None:
    """The first records through the whole evolution."""
    with source_of(study) as source:
        Trial(study, "full", source, folder).run(sample(study, source, first=n).first)


def test_before_anything_is_asked_all_is_estimated_and_nothing_sent(study: Make, server: Server, replies: Path) -> None:
    plan = planned(study(prices=PRICES))
    assert not server.heard
    assert plan.free == 0
    assert plan.population == RECORDS
    roles = {(p.evolution, p.round, p.role) for p in plan.cells}
    assert roles == {("", 0, "curate"), ("full", 0, "judge")} | {
        ("full", r, role) for r in (1, 2) for role in ("evolve", "judge", "blind")
    }
    assert plan.cells[Place("", 0, "curate", "evolver")].requests >= RECORDS / 3
    for interval in (plan.requests, plan.input, plan.output, plan.money, plan.hours):
        assert 0 < interval.low < interval.value < interval.high
    assert plan.money.value == pytest.approx((plan.input.value * 2 + plan.output.value * 8) / 1e6)
    assert all(c.guessed == pytest.approx(c.asked) for c in plan.cells.values())


def usual(n: int, heard: Heard) -> Any:
    """Two Q&A for a caption; one reply in twenty is no JSON."""
    if heard.headers["X-MMEvol-Request"][:2] < "0d":
        return Reply("sorry")
    two = [{"question": f"What is {i}?", "answer": "a cup"} for i in range(2)]
    return {"qas": two} if heard.block["task"] == "curate" else good(heard.block)


def test_the_estimate_is_what_the_run_then_asks(study: Make, server: Server, tmp_path: Path) -> None:
    server.answer = usual
    of = study(prices=PRICES)
    before = planned(of)
    run_all(of, tmp_path / "run")
    asked = len(server.heard)
    assert before.requests.low <= asked <= before.requests.high
    by_task = Counter(h.block["task"] for h in server.heard)
    for task, n in by_task.items():
        assert sum(c.requests for p, c in before.cells.items() if p.role == task) == pytest.approx(n, rel=0.4)


def test_what_was_answered_is_free_and_counted_not_guessed(study: Make, server: Server, tmp_path: Path) -> None:
    of = study(prices=PRICES)
    run_all(of, tmp_path / "run")
    plan = planned(of)
    assert plan.free == len(server.heard)
    assert plan.requests.value == plan.money.value == plan.output.value == 0
    assert sum(plan.measured.values()) == len(server.heard)
    asked = len(server.heard)
    run_all(of, tmp_path / "again")
    assert len(server.heard) == asked


def test_after_a_pilot_tokens_are_those_that_were_counted(study: Make, server: Server, tmp_path: Path) -> None:
    of = study(prices=PRICES)
    run_all(of, tmp_path / "run", 8)
    plan = planned(of)
    assert 0 < plan.free == len(server.heard) < plan.free + plan.requests.value
    assert not any(c.guessed for c in plan.cells.values()), "every task has answers"
    assert plan.input.value == pytest.approx(100 * plan.requests.value, rel=0.35), "the server counts 100 a request"
    assert sum(c.cached for c in plan.cells.values()) == pytest.approx(0.4 * plan.input.value)
    blind = plan.cells[Place("full", 1, "blind", "judge")]
    assert blind.output == pytest.approx(10 * blind.asked)


def test_a_target_takes_fewer_records(study: Make) -> None:
    whole, cut = planned(study()), planned(study(evolve={"target": {"survivors": 6}}))
    assert cut.survivors["full"][0] == pytest.approx(6, rel=0.35)
    assert cut.taken["full"] == pytest.approx(RECORDS * 6 / whole.survivors["full"][0])
    assert cut.requests.value < 0.5 * whole.requests.value


def test_a_control_spends_as_many_calls_and_what_evolutions_share_is_paid_once(study: Make) -> None:
    evolutions = {
        "full": {"rounds": 2},
        "free": {"like": "full", "eliminate": False},
        "oneshot": {"from": "scratch", "calls": {"same_as": "full"}},
    }
    plan = planned(study(evolve={"evolutions": evolutions}))
    calls = {
        name: sum(c.requests for p, c in plan.cells.items() if p.evolution == name and p.round) for name in evolutions
    }
    assert calls["oneshot"] == pytest.approx(calls["full"]), "the judging of seeds is no round that is matched"
    assert plan.cells[Place("full", 0, "judge", "judge")].requests > 0
    shared = plan.cells[Place("free", 1, "evolve", "evolver")]
    assert shared.free == shared.requests > 0
    assert plan.cells[Place("free", 2, "evolve", "evolver")].asked > 0


def test_a_budget_that_will_not_do_is_told(study: Make) -> None:
    assert not planned(study(evolve={"budget": {"requests": 100_000}})).warnings()
    plan = planned(study(evolve={"budget": {"requests": 20, "money": 1e-9}}, prices=PRICES))
    assert [w.split(":")[0] for w in plan.warnings()] == [
        "evolve.budget.requests is 20",
        "evolve.budget.money is 1e-09",
    ]
    assert "stops the run" in plan.warnings()[0]


def test_a_plan_is_told_to_people_and_programs(study: Make) -> None:
    plan = planned(study(prices=PRICES | {"currency": "EUR"}))
    text = "\n".join(summary(plan))
    assert "EUR" in text
    assert "No answers yet" in text
    value: dict[str, Any] = json.loads(figures(plan))
    assert value["requests"]["low"] < value["requests"]["value"] < value["requests"]["high"]
    assert sum(row["requests"] - row["free"] for row in value["places"]) == pytest.approx(value["requests"]["value"])
    assert "no prices" in "\n".join(summary(planned(study())))


def test_the_study_walks_as_the_run_does(study: Make, server: Server, tmp_path: Path) -> None:
    """With eliminations, failures and retries, every question that the forecast asks is one that the run asked."""

    def answer(n: int, heard: Heard) -> Any:
        said = good(heard.block)
        odd = heard.headers["X-MMEvol-Request"][0] in "01234567"
        if heard.block["task"] in ("evolve", "curate") and odd:
            return Reply("not JSON")
        for item in said.get("verdicts", []):
            item.update(verdict(item["id"], improved=not odd))
        return said

    server.answer = answer
    of = study(evolve={"evolutions": {"full": {"rounds": 3, "qas_per_request": 1, "content_attempts": 2}}})
    run_all(of, tmp_path / "run")
    plan = planned(of)
    assert plan.requests.value == 0
    assert plan.free == len(server.heard)


def test_typical_replies_are_of_the_assumed_size_and_usable(study: Make) -> None:
    of = study()
    forecast = Forecast(Assumed(invalid=0.0, survive=(1.0,)))
    seen: list[tuple[str, int, int]] = []
    real = Forecaster.answer

    async def spy(self: Forecaster, *args: Any, **more: Any) -> Any:
        said = await real(self, *args, **more)
        seen.append((said.text, more["attempt"], 0))
        return said

    async def walk() -> list[Any]:
        from mmevol.config import Run
        from mmevol.endpoint.clients import Clients
        from mmevol.replies import ReplyStore

        facts = Run(connections={name: e.connection() for name, e in of.endpoints.items()})
        async with Clients(facts) as clients:
            with ReplyStore(range(256), job="t") as store, source_of(of) as source:
                known = {name: clients.client(name, of.identity(name)) for name in of.endpoints}
                evolver = Evolver(of, forecast, known, store)
                return [await evolver.record(r) for r in sample(of, source, first=RECORDS).first]

    Forecaster.answer = spy  # type: ignore[method-assign]
    try:
        walked = asyncio.run(walk())
    finally:
        Forecaster.answer = real  # type: ignore[method-assign]
    assert {attempt for _, attempt, _ in seen} == {0}, "no typical reply is turned down"
    assert all(a == b > 0 for _, survivors in walked for a, b in [survivors["full"]]), "and all survive where all shall"
    total = Cell()
    for cells, _ in walked:
        for cell in cells.values():
            total.add(cell)
    assert total.size > sum(len(text) for text, _, _ in seen)


def test_a_reply_is_drawn_from_its_key() -> None:
    from mmevol.endpoint.prompt import Prompt
    from mmevol.endpoint.schemas import CANDIDATES
    from mmevol.records import Request, RequestQA

    request = Request(task="evolve", direction="interactive", qas=[RequestQA(id="a", question="?")])
    prompt = Prompt("", request, CANDIDATES)
    texts = {typical(prompt, f"{i:064x}", 1, Assumed(invalid=0.3)) for i in range(200)}
    assert texts == {typical(prompt, f"{i:064x}", 1, Assumed(invalid=0.3)) for i in range(200)}
    assert len(texts) > 100
    usable = sum(typical(prompt, f"{i:064x}", 1, Assumed(invalid=0.3)) != "no" for i in range(1000))
    assert 640 < usable < 760


def test_wall_time_is_that_of_the_narrowest_limit(study: Make) -> None:
    """Evolver and judge are one model on one server, so they share its limits."""
    plain = planned(study())
    assert plain.wall.held_by == "evolver and judge: concurrency"
    asked = plain.requests.value
    held = planned(study(limits={"requests_per_minute": 2}))
    assert held.wall.held_by == "evolver and judge: requests_per_minute"
    assert held.hours.value == pytest.approx(asked / 2 / 60)
    tokens = planned(study(limits={"tokens_per_minute": 10}))
    assert tokens.wall.held_by.endswith("tokens_per_minute")
    assert tokens.hours.value == pytest.approx((plain.input.value + plain.output.value) / 10 / 60)
    with source_of(study()) as source:
        wide, slow = make(study(), source, machines=4), make(study(), source, latency={"judge": 60.0, "evolver": 60.0})
    assert wide.hours.value == pytest.approx(plain.hours.value / 4)
    assert slow.hours.value == pytest.approx(asked * 60 / 8 / 3600)


BATCH = {"mode": "batch", "prices": PRICES | {"batch": 0.5}}


def test_batches_are_bounded_by_their_window_and_not_timed_as_if_online(study: Make) -> None:
    online, plan = planned(study(prices=PRICES)), planned(study(evolve={"shards": 1}, **BATCH))
    attempts = study().evolve.evolutions["full"].content_attempts
    curate = study().curate_settings().content_attempts
    blind = attempts * 4  # draws
    assert plan.wall.batches == curate + attempts + 2 * (attempts + attempts + blind)
    assert plan.hours.high == plan.hours.value == 24 * plan.wall.batches
    assert plan.hours.low == 0
    text = "\n".join(summary(plan))
    assert f"up to {plan.wall.batches} batches one after the other, each up to 24h" in text
    assert "time      up to" in text
    for half, whole in zip(astuple(plan.money), astuple(online.money), strict=True):
        assert half == pytest.approx(whole / 2), "the interval's ends too"


def test_more_records_than_a_job_takes_at_a_time_come_in_turns(study: Make) -> None:
    once, thrice = planned(study(**BATCH)), planned(study(**BATCH, batch={"records": 2, "window": "2d"}))
    assert thrice.wall.batches > 2 * once.wall.batches
    assert thrice.hours.value == 48 * thrice.wall.batches
    with pytest.raises(BadInput, match=r"endpoints\.evolver\.batch\.window"):
        planned(study(mode="batch", batch={"window": "soon"}))


def test_a_judge_in_batches_is_added_to_an_evolver_online(study: Make) -> None:
    of = study()
    judge = of.endpoints["judge"].model_copy(update={"mode": "batch"})
    mixed = planned(of.model_copy(update={"endpoints": of.endpoints | {"judge": judge}}))
    assert 0 < mixed.wall.seconds < planned(of).wall.seconds
    assert mixed.hours.value == pytest.approx(24 * mixed.wall.batches + mixed.wall.seconds / 3600)


def test_rows_stand_in_the_studys_order_and_name_both_judges(study: Make) -> None:
    evolutions = {
        "last": {"rounds": 1, "judge": {"second": {"endpoint": "other"}}},
        "first": {"like": "last"},
        "control": {"from": "scratch", "calls": {"same_as": "first"}},
    }
    plan = planned(study(evolve={"evolutions": evolutions}))
    names = list(dict.fromkeys(p.evolution for p in plan.cells))
    assert names == ["", *evolutions]
    paid = {name: sum(c.asked for p, c in plan.cells.items() if p.evolution == name) for name in evolutions}
    assert paid["last"] > 0 == paid["first"], "who comes first pays"
    roles = {role for where, role, _ in plan.rows if where == "first, round 1"}
    assert roles == {"evolve", "blind", "judge (judge)", "judge (other)"}


def test_a_control_shows_as_many_qas_as_a_reply_has_room_for(study: Make) -> None:
    evolutions = {"full": {"rounds": 1}, "oneshot": {"from": "scratch", "calls": {"same_as": "full"}}}
    seen: list[int] = []
    for tokens in (4096, 512):
        plan = planned(study(evolve={"evolutions": evolutions}, max_tokens=tokens))
        cell = plan.cells[Place("oneshot", 1, "fresh", "evolver")]
        seen.append(round(100 * cell.output / cell.asked))
    assert seen[1] == 250 * 100 < seen[0], "one Q&A a call where there is room for one"


def test_benchmark_judges_are_said_to_be_left_out(study: Make) -> None:
    of = study()
    judged = of.model_copy(update={"evaluate": of.evaluate.model_copy(update={"judge": "judge"})})
    note = "Not counted: what scoring will ask the benchmark judge (evaluate.judge: judge)."
    assert note in planned(judged).assumptions()
    assert not any("evaluate.judge" in line for line in planned(of).assumptions())


def test_the_table_is_whole_on_a_narrow_terminal(
    study: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    plan = planned(study(prices=PRICES))
    show(plan)
    text = capsys.readouterr().out
    assert "…" not in text
    assert "full, seeds judged" in text
    assert "cached ┃" not in text, "a column of zeros says nothing"
    assert "or shared with another evolution" in " ".join(text.split())
