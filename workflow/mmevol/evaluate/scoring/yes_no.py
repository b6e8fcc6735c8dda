"""Yes/no benchmarks as the kit scores them: MME, POPE, HallusionBench."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.judge import Panel
from mmevol.evaluate.scoring.kit import Kit
from mmevol.evaluate.scoring.result import Answered, Result, answered_mean, mean
from mmevol.evaluate.scoring.spreadsheet import text
from mmevol.evaluate.scoring.table import Row, kit_table

ATTEMPTS = 5
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
DECIMAL_COMMA = re.compile(r"\d,\d")
PERIODS_DELETED = 32
"""At most so many full stops are deleted: the official code passes a flag where the count belongs."""

PERCEPTION = ("OCR", "artwork", "celebrity", "color", "count", "existence", "landmark", "position", "posters", "scene")
REASONING = ("code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation")


def strip_punctuation(reply: str, period: re.Pattern[str]) -> str:
    """Each mark is deleted where one of its kind stands beside a blank or anywhere a digit-comma-digit; else it is a blank.

    Source: the punctuation step of the VQA evaluation code, which the kit borrows.
    """
    comma = "," in reply and DECIMAL_COMMA.search(reply) is not None
    out = reply
    for mark in PUNCTUATION:
        if mark in reply:
            out = out.replace(mark, "" if comma or mark + " " in reply or " " + mark in reply else " ")
    return period.sub("", out, count=PERIODS_DELETED) if "." in out else out


def yes_or_no(reply: str, kit: Kit) -> str:
    """``Yes`` or ``No`` where exactly one of the two is a word of the reply, else ``Unknown``."""
    words = strip_punctuation(reply.lower(), kit.period).split()
    yes, no = "yes" in words, "no" in words
    return "Unknown" if yes == no else "Yes" if yes else "No"


def extract(rows: Sequence[Row], panel: Panel, kit: Kit) -> list[str]:
    """``Yes``, ``No`` or ``Unknown`` of each row; the judge is asked where the rule finds neither."""
    said = [yes_or_no(text(row.prediction), kit) for row in rows]
    unknown = [at for at, word in enumerate(said) if word == "Unknown"]
    if panel.has("yes_no"):
        asked = [
            (rows[at].key, {"question": text(rows[at].cells["question"]), "prediction": text(rows[at].prediction)}, "")
            for at in unknown
        ]

        def decided(_: int, reply: str) -> str | None:
            word = yes_or_no(reply, kit)
            return None if word == "Unknown" else word

        for at, word in zip(unknown, panel.settle("yes_no", asked, decided, ATTEMPTS), strict=True):
            said[at] = word or "Unknown"
    return said


def score_mme(inputs: Inputs, panel: Panel, kit: Kit) -> Result:
    """MME: a task's score is accuracy plus accuracy+ (both questions of an image right), 0 to 200.

    ``perception`` adds 10 tasks, ``reasoning`` 4; a task that is absent or has an image with a single question has no
    score, nor has its sum (the official code stops). Reported: ``MME_C``, reasoning / 8, on 0 to 100.
    """
    table = kit_table(inputs, kit.formulas)
    said = extract(table.rows, panel, kit)
    correct = [int(word == row.cells["answer"]) for row, word in zip(table.rows, said, strict=True)]
    tasks: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for at, row in enumerate(table.rows):
        tasks[text(row.cells["category"])][text(row.cells["image_path"])].append(at)
    scores = {task: _mme_task(images, correct) for task, images in tasks.items()}
    sums, notes, counted = mme_sums(scores)
    answered: list[Answered] = []
    for task in counted:
        images = tasks[task].values()
        pairs = [(members[0], members[1]) for members in images]
        answered += mme_answered([at for members in images for at in members], pairs, table.rows, correct)
    return Result(
        metrics=sums | scores,
        reported=None if sums["reasoning"] is None else sums["reasoning"] / 8,
        reported_name="MME_C",
        rows=[[row.index, word, hit] for row, word, hit in zip(table.rows, said, correct, strict=True)],
        answered=answered,
        n_missing=table.missing,
        extraction_failures=said.count("Unknown"),
        notes=notes,
    )


def mme_sums(scores: Mapping[str, float | None]) -> tuple[dict[str, float | None], list[str], tuple[str, ...]]:
    """``perception`` and ``reasoning``, None where a task has no score; notes on that; the tasks that MME_C rests on."""
    sums: dict[str, float | None] = {}
    notes = []
    for name, tasks in (("perception", PERCEPTION), ("reasoning", REASONING)):
        known = [score for score in map(scores.get, tasks) if score is not None]
        sums[name] = sum(known) if len(known) == len(tasks) else None
        if sums[name] is None:
            lacking = ", ".join(task for task in tasks if scores.get(task) is None)
            notes.append(
                f"{name}: no score of {lacking} (absent, or an image with one question): the official code stops"
            )
    return sums, notes, REASONING if sums["reasoning"] is not None else ()


def mme_answered(
    singles: Sequence[int], pairs: Sequence[tuple[int, int]], rows: Sequence[Row], correct: Sequence[int]
) -> list[Answered]:
    """Influence on MME_C of a task's questions: each on accuracy, the first of each image also on accuracy+."""
    accuracy = answered_mean(
        [rows[at].key for at in singles],
        [correct[at] for at in singles],
        [rows[at].image for at in singles],
        weight=1 / 8,
    )
    both = [correct[first] * correct[second] for first, second in pairs]
    plus = answered_mean(
        [rows[first].key for first, _ in pairs], both, [rows[first].image for first, _ in pairs], weight=1 / 8
    )
    on_pairs = {question.key: question.influence for question in plus}
    return [q._replace(influence=q.influence + on_pairs.get(q.key, 0.0)) for q in accuracy]


def _mme_task(images: Mapping[str, Sequence[int]], correct: Sequence[int]) -> float | None:
    if any(len(members) < 2 for members in images.values()):
        return None
    accuracy = mean([correct[at] for members in images.values() for at in members])
    plus = mean([correct[members[0]] * correct[members[1]] for members in images.values()])
    assert accuracy is not None and plus is not None
    return accuracy * 100 + plus * 100


def score_pope(inputs: Inputs, panel: Panel, kit: Kit) -> Result:
    """POPE: F1 (``Overall``), accuracy, precision, recall in percent, over all rows and per category; positive is Yes.

    A row of several categories counts once in each, and as often overall. Reported: F1 overall.
    """
    table = kit_table(inputs, kit.formulas)
    said = extract(table.rows, panel, kit)
    splits: dict[str, list[int]] = {"Overall": []}
    for at, row in enumerate(table.rows):
        category = row.cells["category"]
        for name in [None] if category is None else str(category).split(","):
            splits["Overall"].append(at)
            if name is not None:
                splits.setdefault(name, []).append(at)
    yes = [word == "Yes" for word in said]
    wanted = [row.cells["answer"] == "Yes" for row in table.rows]
    correct = [int(word == row.cells["answer"]) for row, word in zip(table.rows, said, strict=True)]
    metrics = {}
    for name, members in splits.items():
        figures = precision_recall_f1([yes[at] for at in members], [wanted[at] for at in members])
        precision, recall, f1 = (100 * (figure or 0.0) for figure in figures)
        accuracy = mean([correct[at] for at in members])
        metrics[name] = {
            "Overall": f1,
            "acc": None if accuracy is None else accuracy * 100,
            "precision": precision,
            "recall": recall,
        }
    times = [len(str(row.cells["category"]).split(",")) for row in table.rows]
    return Result(
        metrics=metrics,
        reported=metrics["Overall"]["Overall"] if table.rows else None,
        reported_name="F1",
        rows=[[row.index, word, hit] for row, word, hit in zip(table.rows, said, correct, strict=True)],
        answered=f1_answered(table.rows, yes, wanted, correct, times),
        n_missing=table.missing,
        extraction_failures=said.count("Unknown"),
        notes=[] if table.rows else ["no row has a prediction"],
    )


def precision_recall_f1(yes: Sequence[bool], wanted: Sequence[bool]) -> tuple[float | None, float | None, float | None]:
    """Fractions, each None where its denominator is 0."""
    hits = sum(y and w for y, w in zip(yes, wanted, strict=True))
    precision = hits / sum(yes) if any(yes) else None
    recall = hits / sum(wanted) if any(wanted) else None
    if precision is None or recall is None or precision + recall == 0:
        return precision, recall, None
    return precision, recall, 2 * precision * recall / (precision + recall)


def f1_answered(
    rows: Sequence[Row], yes: Sequence[bool], wanted: Sequence[bool], correct: Sequence[int], times: Sequence[float]
) -> list[Answered]:
    """Influence on F1 in percent, a ratio: (2 hit - F1 (yes + wanted)) / sum of (yes + wanted), times the weight."""
    size = sum(t * (y + w) for t, y, w in zip(times, yes, wanted, strict=True))
    if not size:
        return [Answered(row.key, float(c), 0.0, row.image) for row, c in zip(rows, correct, strict=True)]
    f1 = 2 * sum(t * (y and w) for t, y, w in zip(times, yes, wanted, strict=True)) / size
    return [
        Answered(row.key, float(c), 100 * t * (2 * (y and w) - f1 * (y + w)) / size, row.image)
        for row, c, t, y, w in zip(rows, correct, times, yes, wanted, strict=True)
    ]


def score_hallusion(inputs: Inputs, panel: Panel, kit: Kit) -> Result:
    """HallusionBench in percent: aAcc over rows, fAcc over figures, qAcc over questions all of whose rows are right.

    Overall, per category and per l2-category (one of the same name takes its place). Reported: aAcc.
    """
    table = kit_table(inputs, kit.formulas)
    said = extract(table.rows, panel, kit)
    correct = [int(word == row.cells["answer"]) for row, word in zip(table.rows, said, strict=True)]
    parts = [hallusion_index(row, inputs) for row in table.rows]
    splits: dict[str, list[int]] = {"Overall": list(range(len(table.rows)))}
    for column in ("category", "l2-category"):
        found: dict[str, list[int]] = defaultdict(list)
        for at, row in enumerate(table.rows):
            if row.cells.get(column) is not None:
                found[str(row.cells[column])].append(at)
        splits |= found

    def grouped(members: list[int], field: int) -> float | None:
        groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for at in members:
            groups[text(table.rows[at].cells["l2-category"]), parts[at][0], parts[at][field]].append(correct[at])
        return mean([100.0 * all(hits) for hits in groups.values()])

    metrics = {
        name: {
            "aAcc": mean([100.0 * correct[at] for at in members]),
            "fAcc": grouped(members, 1),
            "qAcc": grouped(members, 2),
        }
        for name, members in splits.items()
    }
    return Result(
        metrics=metrics,
        reported=metrics["Overall"]["aAcc"],
        reported_name="aAcc",
        rows=[[row.index, word, hit] for row, word, hit in zip(table.rows, said, correct, strict=True)],
        answered=answered_mean(
            [row.key for row in table.rows],
            [float(hit) for hit in correct],
            [
                f"{text(row.cells['l2-category'])}_{set_}_{figure}"
                for row, (set_, figure, _) in zip(table.rows, parts, strict=True)
            ],
        ),
        n_missing=table.missing,
        extraction_failures=said.count("Unknown"),
        notes=[] if table.rows else ["no row has a prediction"],
    )


def hallusion_index(row: Row, inputs: Inputs) -> tuple[str, str, str]:
    """Set, figure and question of an index like ``HB_VD_figure_0_1_0``."""
    fields = row.key.split("_")
    if len(fields) < 6:
        raise inputs.bad(
            "data",
            "index",
            row.key,
            "six fields joined by _: name, category, l2-category, set, figure, question",
            "use the benchmark's official table",
        )
    return fields[3], fields[4], fields[5]
