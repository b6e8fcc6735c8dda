"""What asking about a record will take: the evolution itself runs, on answers from the reply store or, where there is none, on
typical ones.

Everything that shapes a request is the code of the run: prompts, chunks, attempts, keys. Only what a model would say is assumed.
"""

from collections import defaultdict
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import orjson

from mmevol.config import Evolution
from mmevol.config.study import Study
from mmevol.endpoint.ask import Asker
from mmevol.endpoint.client import Client
from mmevol.endpoint.prompt import Prompt, key_of
from mmevol.endpoint.response import Answer
from mmevol.evolve.ask import RoundAsker, SeedJudge, qas_together, rewrite, seed_versions
from mmevol.evolve.direction import direction
from mmevol.evolve.eliminate import outcome_of, text_of
from mmevol.preview.tokens import CHARACTERS, image_tokens, text_tokens
from mmevol.records import SeedRecord, Version, digest, fraction
from mmevol.replies import ReplyStore
from mmevol.seeds.curate import curated
from mmevol.store import bucket_of

OPTIONS = 4


@dataclass(frozen=True)
class Assumed:
    """What is taken for granted of answers that nobody has given yet; `Measured.better` replaces what answers have shown."""

    survive: tuple[float, ...] = (0.70, 0.87, 0.92)
    """Share of candidates that survives rounds 1, 2, 3 and on: as in the paper."""
    invalid: float = 0.05
    """Share of replies that cannot be used and are asked for again."""
    output: dict[str, float] = field(
        default_factory=lambda: {"curate": 250.0, "evolve": 250.0, "fresh": 250.0, "judge": 70.0, "blind": 15.0}
    )
    """Tokens of an answer, for each Q&A of its request; of a whole answer where a picture gets its first Q&A."""
    input: dict[str, float] = field(default_factory=dict)
    """By task, what the provider counted over what the rule of thumb gives; 1 where nothing is known."""
    cached: dict[str, float] = field(default_factory=dict)
    """By task, share of prompt tokens that the provider had cached; 0 where nothing is known."""


@dataclass
class Cell:
    """A sum over requests. ``free``: of them answered already, or asked by another evolution too; all else is about the others.
    ``guessed``: of these, those of a task whose tokens no provider has counted. ``size``: bytes of the answers to be kept."""

    requests: float = 0
    free: float = 0
    guessed: float = 0
    input: float = 0
    cached: float = 0
    output: float = 0
    money: float = 0
    size: float = 0

    def add(self, other: "Cell", times: float = 1) -> None:
        """Add so many times another cell."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + times * getattr(other, f.name))

    @property
    def asked(self) -> float:
        """Requests that will be sent."""
        return self.requests - self.free


@dataclass(frozen=True, order=True)
class Place:
    """Where in the run a request belongs: ``evolution`` '' is curation, ``round`` 0 the judging of seeds, ``role`` the task."""

    evolution: str
    round: int
    role: str
    endpoint: str

    @property
    def where(self) -> str:
        """Evolution and round as people read them."""
        if not self.evolution:
            return "curation"
        return f"{self.evolution}, round {self.round}" if self.round else f"{self.evolution}, seeds judged"


Cells = dict[Place, Cell]


@dataclass
class Measured:
    """What the answers in the reply store have shown of one task."""

    answers: int = 0
    items: int = 0
    input: float = 0
    by_rule: float = 0
    cached: float = 0
    output: float = 0

    @staticmethod
    def better(assumed: Assumed, measured: dict[str, "Measured"]) -> Assumed:
        """The assumptions, with measured figures in their places."""
        known = {task: m for task, m in measured.items() if m.input and m.output}
        return replace(
            assumed,
            output=assumed.output | {t: m.output / m.items for t, m in known.items()},
            input={t: m.input / m.by_rule for t, m in known.items()},
            cached={t: m.cached / m.input for t, m in known.items()},
        )


class Forecast:
    """The forecasts of one study's records; `measured` fills while they are made."""

    def __init__(self, assumed: Assumed) -> None:
        self.assumed = assumed
        self.measured: dict[str, Measured] = defaultdict(Measured)
        self.given: dict[bytes, Answer] = {}
        self.cells: Cells = {}
        self.evolution, self.round = "", 0

    def begin(self) -> Cells:
        """Another record: its cells, which fill as it is asked about. Answers are shared by its evolutions only."""
        self.given, self.cells = {}, {}
        return self.cells


class Forecaster(Asker):
    """An asker that sends nothing: it looks answers up, makes typical ones up, and counts."""

    def __init__(self, client: Client, store: ReplyStore, forecast: Forecast) -> None:
        super().__init__(client, store)
        self.forecast = forecast

    async def answer(
        self, first: Prompt, now: Prompt, *, record: str, draw: int, attempt: int, more_tokens: int = 1
    ) -> Answer:
        """The answer in the store, or a typical one."""
        f, task = self.forecast, now.request.task
        key = key_of(first, self.client.identity, draw=draw, attempt=attempt)
        cell = f.cells.setdefault(Place(f.evolution, f.round, task, self.client.name), Cell())
        cell.requests += 1
        if (kept := self.store.get(bucket_of(record), key)) is not None:
            cell.free += 1
            return self._measure(task, now, Answer(**kept["answer"]))
        if key in f.given:
            cell.free += 1
            return f.given[key]
        text = typical(now, key.hex(), f.round, f.assumed)
        tokens = self._input(now) * f.assumed.input.get(task, 1.0)
        cached, output = tokens * f.assumed.cached.get(task, 0.0), f.assumed.output[task] * _items(now)
        prices = self.client.connection.prices
        money = (tokens - cached) * prices.input + cached * prices.cached + output * prices.output
        size = len(text) + len(now.asked) + 300  # with key and facts of the answer
        guessed = float(task not in f.assumed.input)
        cell.add(Cell(0, 0, guessed, tokens, cached, output, money / 1e6, size))
        f.given[key] = Answer(text, "stop", "", "", 0, 0, 0)
        return f.given[key]

    def _input(self, prompt: Prompt) -> float:
        """Prompt tokens by the rule of thumb."""
        identity = self.client.identity
        tokens = text_tokens(prompt.messages(identity, None))
        if prompt.picture and identity.sees_images:
            rule = self.client.connection.prices.image
            tokens += image_tokens(rule, prompt.size(identity), identity)
        return tokens

    def _measure(self, task: str, prompt: Prompt, answer: Answer) -> Answer:
        m = self.forecast.measured[task]
        m.answers += 1
        m.items += _items(prompt)
        m.by_rule += self._input(prompt)
        m.input += answer.input_tokens
        m.cached += answer.cached_tokens
        m.output += answer.output_tokens
        return answer


def _items(prompt: Prompt) -> int:
    return max(1, len(prompt.request.qas))


def typical(prompt: Prompt, key: str, round_: int, assumed: Assumed) -> str:
    """A reply of the usual size, drawn from the request's key; at the assumed rate one that cannot be used."""
    request, task = prompt.request, prompt.request.task
    if task != "blind" and fraction(key, "invalid") < assumed.invalid:
        return "no"
    body = int(max(40, CHARACTERS * assumed.output[task] - 160))
    ids = [qa.id for qa in request.qas]
    value: dict[str, Any]
    if task == "curate":
        qas = 2 + (fraction(key, "qas") < 0.5)
        value = {"qas": [_qa(f"{key}{i}", "", max(40, body // qas - 160)) for i in range(qas)]}
    elif task == "judge":
        rate = assumed.survive[min(max(round_, 1), len(assumed.survive)) - 1]
        good = {"difficulty": 5, "faithful": True, "image_needed": True, "reason": _words(key, 120)}
        value = {"verdicts": [{"id": i, "improved": fraction(key, i) < rate, **good} for i in ids]}
    elif task == "blind":
        options = request.qas[0].options or ["I cannot tell"]
        value = {"answers": [{"id": ids[0], "answer": options[int(fraction(key, "option") * len(options))]}]}
    else:
        value = {"candidates": [{"id": i, **_qa(key + i, request.direction, body)} for i in ids]}
    return orjson.dumps(value).decode()


def _qa(key: str, direction: str, size: int) -> dict[str, Any]:
    """A Q&A of about `size` characters besides the names of its fields; the interactive direction's have options."""
    step = {"manipulation": "Grounding_1(thing)->bbx_1", "description": _words(key + "step", size // 5)}
    options = [_words(f"{key}{i}", 12) for i in range(OPTIONS)] if direction == "interactive" else []
    return {
        "question": f"{_words(key, size // 4)}? Think step by step.",
        "answer": options[0] if options else _words(key + "answer", size // 6),
        "format": "multiple choice" if options else "Norm",
        "options": options,
        "objects": ["thing"],
        "skills": ["grounding"],
        "steps": [step] * 3,
    }


def _words(key: str, size: int) -> str:
    """Words that no other text has."""
    letters = digest(key).translate(str.maketrans("0123456789", "ghijklmnop")) * (1 + size // 64)
    return " ".join(letters[i : i + 5] for i in range(0, max(5, size), 6))


class Evolver:
    """Walks records through a study's curation and evolutions, each asked by a `Forecaster`."""

    def __init__(self, study: Study, forecast: Forecast, clients: dict[str, Client], store: ReplyStore) -> None:
        self.study, self.forecast = study, forecast
        self.clients, self.store = clients, store

    def asker(self, endpoint: str) -> Forecaster:
        """The endpoint, asked by nobody."""
        return Forecaster(self.clients[endpoint], self.store, self.forecast)

    async def record(self, record: SeedRecord) -> tuple[Cells, dict[str, list[int]]]:
        """What a record takes, and by evolution how many of its Q&A survive each round."""
        cells = self.forecast.begin()
        survivors: dict[str, list[int]] = {}
        if self.study.seeds.curate:
            self.forecast.evolution, self.forecast.round = "", 0
            settings = self.study.curate_settings()
            record = await curated(self.asker(settings.endpoint), record, settings)
        for name, evolution in self.study.evolve.evolutions.items():
            self.forecast.evolution = name
            if record.qas and evolution.from_ == "seeds":
                survivors[name] = await self._evolve(record, name, evolution)
            elif record.qas:
                await self._scratch(record, name, evolution, cells)
        return cells, survivors

    async def _evolve(self, record: SeedRecord, name: str, evolution: Evolution) -> list[int]:
        evolver = self.asker(evolution.endpoint)
        by = evolution.judge
        judges: list[Asker] = [self.asker(j.endpoint) for j in (by, by and by.second) if j]
        if by and by.seeds:
            self.forecast.round = 0
            first = SeedJudge(self.study.ask_settings(name, 0), evolver, judges[:1])
            await first.record((record, seed_versions(record)))
        survivors = []
        lines: list[tuple[Version, list[str]]] = [(v, []) for v in seed_versions(record)]
        for round_ in self.study.rounds(name):
            self.forecast.round = round_
            asker = RoundAsker(self.study.ask_settings(name, round_), evolver, judges)
            candidates, _ = await asker.record((record, [v for v, _ in lines]))
            history = {v.id: texts for v, texts in lines}
            elimination = self.study.eliminate_settings(name, round_)
            lines, count = [], 0
            for c in candidates:
                texts = [*history[c.parent.id], text_of(c.parent.qa)]
                survived = c.version is not None and outcome_of(c, texts, elimination).outcome == "survived"
                lines.append((c.version, texts) if survived and c.version else (c.parent, texts[:-1]))
                count += survived
            survivors.append(count)
        return survivors

    async def _scratch(self, record: SeedRecord, name: str, evolution: Evolution, cells: Cells) -> None:
        """As many calls as the evolution that is matched: one is looked at, the others are like it."""
        assert evolution.calls
        same_as = evolution.calls.same_as
        calls = sum(c.requests for place, c in cells.items() if place.evolution == same_as and place.round > 0)
        settings, self.forecast.round = self.study.scratch_settings(name), 1
        parents = seed_versions(record)[: qas_together(settings)]
        await rewrite(self.asker(evolution.endpoint), record, parents, direction("fresh"), settings, draw=1, attempts=1)
        place = Place(name, 1, "fresh", evolution.endpoint)
        cells[place] = Cell(**{k: v * calls for k, v in asdict(cells[place]).items()})
