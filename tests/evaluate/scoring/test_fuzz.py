"""A fuzz test a benchmark: rows from a grammar of odd replies, scored and compared with the plain functions of `reference`.

MMEVOL_FUZZ=5000 draws more of them than a test run does.
"""

import json
import os
from dataclasses import replace
from typing import Any

import pytest
import reference
import reference_authors
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from mmevol.evaluate.scoring import vqa
from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.score import Score, score
from test_golden import same

fuzz = settings(
    max_examples=int(os.environ.get("MMEVOL_FUZZ", "40")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

WORDS = [
    *"ABCDZab",
    "red",
    "dark red",
    "16",
    "16.0",
    "7",
    "None",
    "N/A",
    "null",
    "nan",
    "yes",
    "Yes",
    "no",
    "No",
    "not",
    "know",
    "=A",
    "=1+1",
    "1,000",
    "٣",
    "５",
    "é",
    "A.",
    "(B)",
    "**C**",
    "Yes:",
    "no.",
    "answer is B",
    "The answer is **a** cat",
    "Failed to obtain answer via API",
    "Cannot determine the answer",
    "other answers",
    "\r\n",
    "\x07",
    "\n",
    "\t",
    "and then a few more words about it",
]
cells = st.sampled_from([*WORDS, "", "Sky Blue", "x" * 40])
replies = st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=5).flatmap(
    lambda words: st.sampled_from([" ", "", ", "]).map(lambda glue: glue.join(words))
)
INDEXES = ["1", "2", "3", "4", "12", "1000001", "1000002"]
rules = st.sampled_from(["mmevol", "vlmevalkit-head"])


def given_to(data: reference.Table, said: reference.Said, **more: Any) -> Inputs:
    predictions = [{"index": index, "prediction": text} for index, text in said.items()]
    return Inputs(data=data, predictions=predictions, **more)


def recording(kind: str, replies: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "replies": replies}


@st.composite
def tables(
    draw: st.DrawFn, columns: dict[str, Any], indexes: list[str] = INDEXES
) -> tuple[reference.Table, reference.Said]:
    """Rows with these columns, some without an image, indexes shuffled and repeated; predictions missing and superfluous."""
    rows = draw(st.lists(st.sampled_from(indexes), min_size=1, max_size=8))
    drop = draw(st.booleans())
    data = []
    for index in rows:
        row = {"index": index, "question": "q"} | {name: draw(of) for name, of in columns.items()}
        data.append(row | ({"image": draw(st.sampled_from(["p", "p", ""]))} if drop else {}))
    said = draw(st.dictionaries(st.sampled_from(indexes), replies, min_size=1))
    assume(any(row["index"] in said and row.get("image") != "" for row in data))
    return data, said


CHOICE = dict.fromkeys("ABC", cells) | {"answer": st.sampled_from("ABC"), "category": st.sampled_from(["x", "y"])}
CHOICE |= {"l2-category": st.sampled_from(["x", "z", ""])}
judged = st.none() | st.fixed_dictionaries(
    {
        index: st.lists(replies, max_size=2).map(lambda tried: [*tried, "Z"]) | st.just(["A Z", "B", "Z"])
        for index in INDEXES
    }
)


def check(result: Score, metrics: Any, rows: Any) -> None:
    same(result.metrics, metrics)
    assert result.rows == rows


@fuzz
@given(tables(CHOICE), rules, judged)
def test_choice(table: Any, chosen: Any, judge: Any) -> None:
    data, said = table
    recorded = None if judge is None else recording("mcq", judge)
    result = score("MMStar", chosen, given_to(data, said, judge_replies=recorded))
    check(result, *reference.choice(data, said, chosen != "mmevol", judge))


@fuzz
@given(
    tables(
        CHOICE
        | {"split": st.sampled_from(["dev", "validation"]), "answer": st.sampled_from([*"ABC", "16", "red", "None"])}
    ),
    rules,
)
def test_mmmu(table: Any, chosen: Any) -> None:
    data, said = table
    result = score("MMMU_DEV_VAL", chosen, given_to(data, said))
    metrics, rows = reference.choice(data, said, chosen != "mmevol", None, mmmu=True)
    names = {name for of in metrics.values() for name in of}
    metrics = {split: {name: of.get(name) for name in names} for split, of in metrics.items()}
    check(result, metrics, rows)
    same(result.reported, None if "validation" not in metrics else 100 * metrics["validation"]["Overall"])


@fuzz
@given(
    st.lists(
        st.tuples(replies, st.sampled_from(["A", "B"]), st.sampled_from(["yes", "Yesterday", "no", "error"])),
        max_size=20,
    )
)
def test_blink(drawn: Any) -> None:
    data, said, judge = [], {}, {}
    for at, (reply, answer, verdict) in enumerate([("A", "A", "yes")] * 14 + drawn):
        category = f"val_{reference.BLINK[at % 14]}_x"
        data.append(
            {"index": str(at + 1), "question": "q", "A": "red", "B": "7", "answer": answer, "category": category}
        )
        said[str(at + 1)], judge[str(at + 1)] = reply, verdict
    inputs = given_to(data, said, blink_judge_replies=recording("blink_yes_no", judge))
    result = score("BLINK", "mmevol", inputs)
    per_task, macro = reference.blink(data, said, judge)
    kit, _ = reference.choice([row | {"l2-category": ""} for row in data], said, False, None)
    same(result.metrics, kit | {"per_task": per_task, "macro_average": macro})
    same(result.reported, 100 * macro)


@fuzz
@given(
    tables(
        {
            "answer": st.sampled_from(["Yes", "No"]),
            "category": st.sampled_from(["random", "popular", "random,popular", "a, b"]),
        }
    ),
    rules,
    st.none() | st.fixed_dictionaries({index: st.lists(replies, min_size=1, max_size=6) for index in INDEXES}),
)
def test_pope(table: Any, chosen: Any, judge: Any) -> None:
    data, said = table
    recorded = None if judge is None else recording("yes_no", judge)
    rows = reference.yes_no(data, said, chosen != "mmevol", judge)
    result = score("POPE", chosen, given_to(data, said, judge_replies=recorded))
    metrics = reference.pope(rows)
    for figures in metrics.values():
        figures["Overall"] = figures["Overall"] or 0.0
    check(result, metrics, [[int(row["index"]), row["word"], row["hit"]] for row in rows])
    same(result.reported, metrics["Overall"]["Overall"])
    whole = [row for row in data if row.get("image") != ""]
    same(score("POPE", "authors", given_to(data, said)).metrics, reference_authors.pope(whole, said))


TASKS = [*reference.REASONING[:2], "OCR", "count"]


@fuzz
@given(
    tables(
        {
            "answer": st.sampled_from(["Yes", "No"]),
            "category": st.sampled_from(TASKS),
            "image_path": st.sampled_from("pq"),
        }
    ),
    rules,
)
def test_mme(table: Any, chosen: Any) -> None:
    data, said = table
    rows = reference.yes_no(data, said, chosen != "mmevol", None)
    check(
        score("MME", chosen, given_to(data, said)),
        reference.mme(rows),
        [[int(row["index"]), row["word"], row["hit"]] for row in rows],
    )
    whole = [row for row in data if row.get("image") != ""]
    authors = score("MME", "authors", given_to(data, said)).metrics
    same(authors, {"perception": None, "reasoning": None} | reference_authors.mme(whole, said))


@fuzz
@given(st.data())
def test_mme_sums(data: Any) -> None:
    """All fourteen tasks are there, so that there is a number."""
    rows, said = [], {}
    for task in (*reference.PERCEPTION, *reference.REASONING):
        for image in range(2):
            for answer in ("Yes", "No", "No")[: data.draw(st.integers(2, 3))]:
                said[str(len(rows))] = data.draw(st.sampled_from(["yes", "no", "No.", "yes, no", "know"]))
                rows.append(
                    {
                        "index": str(len(rows)),
                        "question": "q",
                        "answer": answer,
                        "category": task,
                        "image_path": f"{image}.jpg",
                    }
                )
    for chosen in ("mmevol", "vlmevalkit-head"):
        wanted = reference.mme(reference.yes_no(rows, said, chosen != "mmevol", None))
        result = score("MME", chosen, given_to(rows, said))  # type: ignore[arg-type]
        same(result.metrics, wanted)
        assert wanted["reasoning"] is not None
        same(result.reported, wanted["reasoning"] / 8)


PLACES = [
    f"HB_{kind}_map_{set_}_{figure}_{q}" for kind in ("VD", "VS") for set_ in "01" for figure in "012" for q in "01"
]


@fuzz
@given(st.dictionaries(st.sampled_from(PLACES), st.tuples(replies, st.sampled_from(["Yes", "No"])), min_size=1), rules)
def test_hallusion(drawn: Any, chosen: Any) -> None:
    data = [
        {"index": place, "question": "q", "answer": answer, "category": place[3:5], "l2-category": "map"}
        for place, (_, answer) in drawn.items()
    ]
    said = {place: reply for place, (reply, _) in drawn.items()}
    rows = reference.yes_no(data, said, chosen != "mmevol", None)
    result = score("HallusionBench", chosen, given_to(data, said))
    check(result, reference.hallusion(rows), [[row["index"], row["word"], row["hit"]] for row in rows])


@fuzz
@given(
    st.dictionaries(
        st.sampled_from([place for place in PLACES if "_0_" not in place[9:]]),
        st.tuples(st.sampled_from([0, 1, 2]), st.booleans(), st.booleans(), st.sampled_from("12")),
        max_size=12,
    ),
    st.dictionaries(st.sampled_from(PLACES), st.tuples(st.sampled_from([0, 1, 2]), st.booleans()), max_size=12),
)
def test_hallusion_authors(others: Any, zeros: Any) -> None:
    drawn = {place: (v, yes, s, visual) for place, (v, yes, s, visual) in others.items() if place.split("_")[4] != "0"}
    for place in list(drawn) or ["HB_VS_map_0_0_0"]:
        at_zero = "_".join([*place.split("_")[:4], "0", place.split("_")[5]])
        v, yes = zeros.get(at_zero, (1, True))
        drawn[at_zero] = (v, yes, False, "0" if "_VS_" in place else "1")
    spelled = {0: "Incorrect.", 1: "This is correct", 2: "unclear"}
    data, rows = [], []
    for place, (v, yes, s, visual) in drawn.items():
        fields = place.split("_")
        answer = "Yes" if yes else "No"
        row = {"index": place, "question": "q", "answer": answer, "category": fields[1], "l2-category": fields[2]}
        data.append(row | {"visual_input": visual, "gt_answer_details": "so", "image": ""})
        rows.append({"place": tuple(fields[1:]), "visual": visual, "yes": yes, "v": v, "s": s})
    judges = [
        recording("hallusion_verdict", {place: spelled[v] for place, (v, _, _, _) in drawn.items()}),
        recording("hallusion_same", {place: "The same" if s else "Different" for place, (_, _, s, _) in drawn.items()}),
    ]
    result = score("HallusionBench", "authors", given_to(data, dict.fromkeys(drawn, "w"), judge_replies=judges))  # type: ignore[arg-type]
    kinds = {row["place"][0] for row in rows}
    same(
        result.metrics,
        {"Overall": reference_authors.hallusion(rows)}
        | {kind: reference_authors.hallusion([row for row in rows if row["place"][0] == kind]) for kind in kinds},
    )


NUMBERS = [
    "0",
    "5",
    "5.0",
    " 5 ",
    "14",
    "1.5",
    "1e1",
    "1_0",
    "５",
    "inf",
    "-3.9",
    "0.0",
    "nan",
    "None",
    "",
    "=5",
    "=0",
    "1.25",
]
MATHS = {
    "answer_type": st.sampled_from(["integer", "float", "text", "list"]),
    "answer": st.sampled_from([*NUMBERS, "red"]),
    "answer_option": st.sampled_from(["A", "B"]),
    "task": st.sampled_from(["t", "u"]),
    "skills": st.sampled_from(["['a', 'b']", "['a']", "[]"]),
}


@st.composite
def maths(draw: st.DrawFn) -> Any:
    data, said = draw(tables(MATHS, ["1", "2", "3", "4", "5"]))
    for row in data:
        row.pop("image", None)
        of_choice = draw(st.booleans())
        row["question_type"] = "multi_choice" if of_choice else "free_form"
        row["choices"] = draw(st.sampled_from(["['red', 'dark red']", "['5', 'None', '0']"])) if of_choice else ""
        row["precision"] = draw(st.sampled_from("012"))
    said = {index: draw(st.sampled_from([*NUMBERS, "red", "A", "(b)", "Z", "blue"]) | replies) for index in said}
    judge = st.sampled_from([*NUMBERS, "A", "(b)", "red", "=A", "Failed to obtain answer via API."])
    return data, said, {index: draw(st.lists(judge, min_size=1, max_size=6)) for index in said}


@fuzz
@given(maths(), rules)
def test_mathvista(drawn: Any, chosen: Any) -> None:
    data, said, judge = drawn
    result = score("MathVista_MINI", chosen, given_to(data, said, judge_replies=recording("mathvista_extract", judge)))
    check(result, *reference.mathvista(data, said, chosen != "mmevol", judge))


@fuzz
@given(maths())
def test_mathvista_authors(drawn: Any) -> None:
    data, said, judge = drawn
    for row in data:  # free text has no rule
        row["answer_type"] = "list" if row["answer_type"] == "text" and not row["choices"] else row["answer_type"]
    result = score(
        "MathVista_MINI", "authors", given_to(data, said, judge_replies=recording("mathvista_extract", judge))
    )
    kept = [row for row in data if row["index"] in said]
    wanted = [reference_authors.mathvista(row, said[row["index"]], judge[row["index"]][0]) for row in kept]
    hits = [
        int(value is not None and value == (row["answer"] or None)) for value, row in zip(wanted, kept, strict=True)
    ]
    assert result.rows == [[int(row["index"]), value, hit] for row, value, hit in zip(kept, wanted, hits, strict=True)]
    same(result.metrics["average"]["accuracy"], reference.average(hits))


PIECES = [
    "a",
    "the",
    "two",
    "None",
    "cat's",
    "Cat",
    "dont",
    "Im",
    "1,000",
    "3.5",
    "e.g.",
    ".",
    ",",
    "?",
    "-",
    "/",
    "\n",
    "\t",
    "ten",
]
answers = st.lists(st.sampled_from(PIECES), max_size=4).flatmap(
    lambda words: st.sampled_from(["", " "]).map(lambda glue: glue.join(words))
)


@fuzz
@given(
    st.lists(
        st.tuples(st.none() | answers, st.lists(st.tuples(answers, st.sampled_from([1, 2])), min_size=1, max_size=10)),
        min_size=1,
        max_size=6,
    )
)
def test_vqa(drawn: Any) -> None:
    table = vqa._contractions()
    questions = [{"question_id": at, "image_id": at, "question": "q"} for at in range(len(drawn))]
    annotations, values = [], []
    for at, (said, given_) in enumerate(drawn):
        references = [{"answer": text, "answer_id": id_, "answer_confidence": "yes"} for text, id_ in given_]
        types = {"question_type": f"w{at % 2}", "answer_type": "other"}
        annotations.append({"question_id": at, "image_id": at, "answers": references, **types})
        values.append(reference.vqa_accuracy(reference.submitted(said or "", table), references, table))
    predictions = [{"question_id": at, "text": said} for at, (said, _) in enumerate(drawn) if said is not None]
    inputs = Inputs(
        predictions=predictions, questions={"questions": questions}, annotations={"annotations": annotations}
    )
    result = score("VQA_v2", "mmevol", inputs)

    def rounded(some: list[float]) -> float:
        return round(100 * sum(some) / len(some), 2)

    kinds = {f"w{at % 2}" for at in range(len(drawn))}
    wanted = {"overall": rounded(values), "perAnswerType": {"other": rounded(values)}}
    wanted |= {"perQuestionType": {kind: rounded(values[int(kind[1]) :: 2]) for kind in kinds}}
    assert result.metrics == wanted
    assert result.rows == {str(at): round(100 * value, 2) for at, value in enumerate(values)}


@fuzz
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from(["red", "yes", "a b", ""]),
            st.sampled_from(["Red.", "red..", "yes", " yes", "a b.", ".", "color", "no. "]),
            st.sampled_from([None, "g", "h"]),
            st.sampled_from(["query", "verify"]),
            st.sampled_from(["attrCommon", ["Common"], "x", ["isCommon"]]),
            st.lists(
                st.sampled_from(
                    ["exist: x", "query: name", "query: color", "choose name: y", "select: z", "filter: a exist"]
                ),
                max_size=3,
            ),
            st.lists(st.integers(0, 5), max_size=3),
        ),
        min_size=6,
        max_size=10,
    ),
    st.booleans(),
    st.booleans(),
)
def test_gqa(drawn: Any, with_choices: bool, consistency: bool) -> None:
    questions, said, choices = {}, {}, {}
    for at, (balanced, answer, reply, group, structural, detailed, steps, entailed) in enumerate(drawn):
        questions[str(at)] = {
            "question": " ".join(["w"] * (at % 3 + 1)),
            "answer": answer,
            "isBalanced": balanced,
            "entailed": [str(each) for each in entailed],
            "types": {"structural": structural, "semantic": "obj", "detailed": detailed},
            "groups": {"global": group, "local": None},
            "semantic": [dict(zip(("operation", "argument"), step.split(": "), strict=True)) for step in steps],
            "imageId": str(at % 4),
        }
        said[str(at)], choices[str(at)] = reply, {"valid": ["red", "yes"], "plausible": ["red"]}
    inputs = Inputs(
        predictions=[{"question_id": key, "text": text} for key, text in said.items()],
        questions=questions,
        choices=choices if with_choices else None,
        consistency=consistency,
    )
    wanted = reference.gqa(questions, said, choices if with_choices else None, consistency)
    same(score("GQA", "mmevol", inputs).metrics, wanted)


SENTENCES = [
    "score of component 1: ",
    "c:",
    ": ",
    " 3/4",
    "8/10",
    "1.5/2",
    "x",
    "0/0",
    "٣/4",
    ", ",
    ",",
    ".",
    " total score: ",
    "error",
]


@fuzz
@given(st.lists(st.lists(st.sampled_from(SENTENCES), max_size=14).map("".join), min_size=1, max_size=4))
def test_mia(said: list[str]) -> None:
    items = [
        {
            "image": f"{at}.jpg",
            "instruction": "i",
            "components": ["c"] * 3,
            "component_weight": [1] * 3,
            "component_type": ["x", "y", "x"],
        }
        for at in range(len(said))
    ]
    texts = ["error" if reply == "error" else "it" for reply in said]
    inputs = Inputs(
        questions=items,
        predictions=[{"question_id": item["image"], "text": text} for item, text in zip(items, texts, strict=True)],
        judge_replies=recording("mia_raw_score", said),  # type: ignore[arg-type]
    )
    for chosen in ("mmevol", "vlmevalkit-head", "authors"):
        metrics, rows = reference.mia(items, said, chosen == "mmevol")
        check(score("MIA-Bench", chosen, inputs), metrics, rows)  # type: ignore[arg-type]


TEXTS = [
    "104",
    "100",
    "1,040",
    "5",
    "5%",
    "37°c",
    "a",
    "b",
    "[1]",
    "(3, 4)",
    "()",
    "cat",
    "the cat",
    "the answer is",
    "cat.",
    "5..",
    ".",
    "\n",
    "inf",
    "-100",
    "Cat",
    "",
]
spoken = st.lists(st.sampled_from(TEXTS), max_size=4).map(" ".join)
maps = st.lists(st.sampled_from([*"A1b2 3C", "A1", "2B"]), max_size=8).map("".join)


class Plain(dict[str, str]):
    """A recording of a unit stripper that leaves every text as it is."""

    def __contains__(self, _: object) -> bool:
        return True

    def __getitem__(self, text: str) -> str:
        return text


@fuzz
@given(
    st.lists(st.tuples(spoken, spoken), max_size=8),
    st.lists(st.tuples(maps, st.lists(st.sampled_from(["A1", "2B", "b2", "3C"]), unique=True)), max_size=3),
)
def test_mmsinst(drawn: Any, mazes: Any) -> None:
    drawn, mazes = [("5", "5")] * 7 + drawn, [("A1", ["A1"]), *mazes]
    tasks = ["chart", "table", "dashboard", "flowchart", "org", "layout", "iq"]
    rows, hits = [], {task: [] for task in tasks}  # type: ignore[var-annotated]
    prepared = []
    for at, (text, truth) in enumerate(drawn):
        task = tasks[at % 7]
        rows.append({"question_id": at, "text": text, "truth": truth, "type": "DATA", "source": task})
        pair = (reference.prepared(text, 2), reference.prepared(truth, 1))
        prepared.append(pair)
        hits[task].append(reference.agrees(*pair))
    rows += [
        {"question_id": f"m{at}", "text": text, "truth": "", "type": "", "source": "maze"}
        for at, (text, _) in enumerate(mazes)
    ]
    inputs = Inputs(
        predictions=rows,
        maze_data=[{"question_id": f"m{at}", "markers": markers} for at, (_, markers) in enumerate(mazes)],
        nlp_map={
            "unit_stripper": {text: text for pair in prepared for text in pair},
            "synonyms": [[*pair, False] for pair in prepared],
        },
    )
    result = score("MMSInst", "mmevol", inputs)
    wanted = {task: reference.average(found, 100) for task, found in hits.items()}
    wanted["maze"] = reference.average([reference.maze(*each) for each in mazes], 100)
    same(result.metrics, wanted)
    same(result.reported, reference.average(list(wanted.values())))


OPEN = [
    "so ",
    "The answer is ",
    "12.34e5",
    "3.14159",
    "1,234",
    "C",
    "blue",
    "\n",
    "=",
    ".",
    " ",
    "24/7",
    "(A)",
    " B ",
    "(C)",
    "red dark red",
]


@fuzz
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(OPEN), max_size=7).map("".join),
            st.booleans(),
            st.sampled_from(["A", "C", "24/7", '["blue", "3.14"]', "1234", '["A", "B"]']),
            st.sampled_from(["validation", "dev"]),
            st.sampled_from(["Art_Theory", "Math"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_mmmu_authors(drawn: Any) -> None:
    data, said = [], {}
    for at, (reply, of_choice, answer, split, subject) in enumerate(drawn):
        kind = "multiple-choice" if of_choice else "open"
        row = {
            "index": str(at),
            "id": f"{split}_{subject}_{at}",
            "question": "",
            "answer": answer,
            "question_type": kind,
            "split": split,
        }
        data.append(row | {"A": "red", "B": "dark red", "C": "blue" if at % 2 else ""})
        said[str(at)] = reply
    result = score("MMMU_DEV_VAL", "authors", given_to(data, said))
    rows, by_subject = reference_authors.mmmu(data, said)
    assert json.loads(json.dumps(result.rows)) == rows
    for split, found in by_subject.items():
        same({name: result.metrics[split][name] for name in found}, found)


@pytest.mark.parametrize("chosen", ["mmevol", "vlmevalkit-head", "authors"])
def test_the_same_files_give_the_same_score_twice(chosen: Any) -> None:
    data = [{"index": "1", "question": "q", "A": "x", "B": "y", "answer": "A", "category": "c"}]
    inputs = given_to(data, {"1": "A"})
    assert score("MMStar", chosen, inputs) == score("MMStar", chosen, replace(inputs, data=[*data]))
