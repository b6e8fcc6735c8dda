"""Every benchmark's scoring once more, plainly, from the written rules and apart from the scorers.

Tables are lists of dicts of cells as text, predictions and judge replies dicts by index as text. Numbers come as the
official code gives them, `None` where it divides by nothing.
"""

import re
import string
from typing import Any

from test_options import expected as letter_of
from test_yes_no import expected as yes_no_word

Table = list[dict[str, str]]
Said = dict[str, str]
GONE = {"", "NA", "N/A", "n/a", "NULL", "null", "NaN", "nan", "None", "<NA>", "#N/A", "-nan", "-NaN"}
LETTERS = string.ascii_uppercase


def average(values: list[Any], times: float = 1.0) -> float | None:
    return times * sum(values) / len(values) if values else None


def number(cell: str) -> int | float | None:
    """As a table program reads a number: digits are ASCII, no underscores, blanks around are none of its business."""
    if re.fullmatch(r"[-+]?\d+", cell.strip(" \t"), re.ASCII):
        return int(cell)
    if re.fullmatch(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?|[-+]?inf(inity)?", cell.strip(" \t"), re.ASCII | re.I):
        return float(cell)
    return None


def sheet(cells: list[str], formulas: bool) -> list[Any]:
    """A column after a spreadsheet: section 1 of the rules."""
    seen: list[Any] = []
    for cell in cells:
        cell = cell[:32767]
        if cell in GONE:
            seen.append(None)
        elif formulas and cell[0] == "=":
            seen.append(0)
        else:
            seen.append("".join(f"_x{ord(c):04X}_" if c < " " and c not in "\t\n" else c for c in cell))
    numbers = [number(cell) if isinstance(cell, str) else cell for cell in seen]
    if any(found is None for found, cell in zip(numbers, seen, strict=True) if cell is not None):
        return seen
    whole = all(isinstance(found, int) for found in numbers)
    return [found if whole or found is None else float(found) for found in numbers]


def scored_rows(data: Table, said: Said, formulas: bool, drop: bool = True) -> list[dict[str, Any]]:
    """The rows that have an image and a prediction, after the spreadsheet; ``index`` as it stood."""
    rows = [row for row in data if not drop or row.get("image") != ""]
    rows = [row for row in rows if row["index"] in said]
    table = {name: sheet([row[name] for row in rows], formulas) for name in (rows[0] if rows else {})}
    table["prediction"] = sheet([said[row["index"]] for row in rows], formulas)
    table["index"] = [row["index"] for row in rows]
    return [{name: cells[at] for name, cells in table.items()} for at in range(len(rows))]


def said_text(cell: Any) -> str:
    return "nan" if cell is None else str(cell)


def options_of(row: dict[str, Any]) -> dict[str, str]:
    return {x: str(row[x]) for x in LETTERS if row.get(x) is not None}


def choice(data: Table, said: Said, head: bool, replies: dict[str, list[str]] | None, mmmu: bool = False) -> Any:
    """Section 3: metrics and rows. The judge's replies must be usable by the third."""
    answers = {row["index"]: row["answer"] for row in data if row.get("image") != ""}
    if mmmu:
        answers = {index: answer if answer in set(LETTERS) else "A" for index, answer in answers.items()}
    rows = scored_rows(data, said, formulas=not head)
    known = {row["index"]: row for row in data if row.get("image") != ""}
    for row in rows:
        for column in {"category", "l2-category", "split"} & set(row) if not head else ():
            cell = known[row["index"]][column]  # the reference's copy looks these up by index too
            row[column] = None if cell in GONE else cell
        if mmmu and row["A"] is None:
            row["A"], row["B"] = row["answer"], "Other Answers"
    rows.sort(key=lambda row: int(row["index"]))
    for row in rows:
        row["options"] = options_of(row)
        row["letter"] = letter_of(said_text(row["prediction"]), row["options"], head)
        row["final"] = row["letter"]
        if replies is not None and row["letter"] is None:
            tried = [letter_of(reply, row["options"], head) for reply in replies[row["index"]][:3]]
            row["final"] = next(found for found in tried if found)
        row["right"] = row["final"] == answers[row["index"]]
    shown = []
    for row in rows:
        group = [other for other in rows if (int(other["index"]) - int(row["index"])) % 1_000_000 == 0]
        same = [other for other in rows if other["index"] == row["index"]]
        if head:
            shown.append((row, same[-1]["letter"], int(same[-1]["right"])))
        elif int(row["index"]) < 1_000_000:
            shown.append((row, same[-1]["letter"], int(all(other["right"] for other in group))))
    metrics: dict[str, dict[str, float | None]] = {}
    for split in {row.get("split", "none") for row, _, _ in shown}:
        of = metrics[split] = {"Overall": average([hit for row, _, hit in shown if row.get("split", "none") == split])}
        for column in ("l2-category", "category"):
            for name in {row[column] for row, _, _ in shown if row.get(column) is not None}:
                of[str(name)] = average(
                    [hit for row, _, hit in shown if row[column] == name and row.get("split", "none") == split]
                )
    return metrics, [[int(row["index"]), letter, hit] for row, letter, hit in shown]


def blink(data: Table, said: Said, judge: Said) -> Any:
    """Per task and macro average of the reference's script."""
    rows = scored_rows(data, said, formulas=True)
    tasks: dict[str, list[int]] = {name: [] for name in BLINK}
    for row in rows:
        for name in BLINK:
            if name in row["category"]:
                tasks[name].append(int("yes" in judge[row["index"]].lower()))
    per_task = {name: average(hits) for name, hits in tasks.items()}
    known = [value for value in per_task.values() if value is not None]
    return per_task, average(known) if len(known) == 14 else None


BLINK = [
    *("Art_Style", "Functional_Correspondence", "Multi-view_Reasoning", "Relative_Reflectance", "Counting", "IQ_Test"),
    *("Object_Localization", "Semantic_Correspondence", "Visual_Correspondence", "Visual_Similarity", "Jigsaw"),
    *("Forensic_Detection", "Relative_Depth", "Spatial_Relation"),
]


def yes_no(data: Table, said: Said, head: bool, replies: dict[str, list[str]] | None) -> list[dict[str, Any]]:
    """Section 4: rows with what was extracted and whether it is right."""
    rows = scored_rows(data, said, formulas=not head)
    for row in rows:
        word = yes_no_word(said_text(row["prediction"]), head)
        for reply in (replies or {}).get(row["index"], [])[:5]:
            word = yes_no_word(reply, head) if word == "Unknown" else word
        row["word"], row["hit"] = word, int(word == row["answer"])
    return rows


PERCEPTION = ["OCR", "artwork", "celebrity", "color", "count", "existence", "landmark", "position", "posters", "scene"]
REASONING = ["code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation"]


def mme(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    tasks: dict[str, dict[str, list[int]]] = {}
    for row in rows:
        tasks.setdefault(row["category"], {}).setdefault(row["image_path"], []).append(row["hit"])
    scores: dict[str, float | None] = {}
    for name, images in tasks.items():
        every = [hit for hits in images.values() for hit in hits]
        pairs = [hits[0] * hits[1] if len(hits) > 1 else None for hits in images.values()]
        scores[name] = None if None in pairs else 100 * sum(every) / len(every) + 100 * sum(pairs) / len(pairs)  # type: ignore[arg-type]
    sums: dict[str, float | None] = {}
    for name, members in (("perception", PERCEPTION), ("reasoning", REASONING)):
        found = [scores.get(member) for member in members]
        sums[name] = None if None in found else sum(found)  # type: ignore[arg-type]
    return sums | scores


def f1(pairs: list[tuple[bool, bool]]) -> tuple[float | None, float | None, float | None]:
    """Precision, recall, F1 of (said yes, is yes)."""
    tp = pairs.count((True, True))
    precision = tp / (tp + pairs.count((True, False))) if any(said for said, _ in pairs) else None
    recall = tp / (tp + pairs.count((False, True))) if any(right for _, right in pairs) else None
    if not precision or not recall:
        return precision, recall, None
    return precision, recall, 2 * precision * recall / (precision + recall)


def pope(rows: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    repeated = [(name, row) for row in rows for name in row["category"].split(",")]
    metrics = {}
    for split in {"Overall"} | {name for name, _ in repeated}:
        members = [row for name, row in repeated if split in ("Overall", name)]
        figures = f1([(row["word"] == "Yes", row["answer"] == "Yes") for row in members])
        precision, recall, both = (100 * (figure or 0) for figure in figures)
        accuracy = average([row["hit"] for row in members], 100)
        metrics[split] = {"Overall": both, "acc": accuracy, "precision": precision, "recall": recall}
    return metrics


def hallusion(rows: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    metrics = {}
    splits = {"Overall"} | {row[c] for row in rows for c in ("category", "l2-category")}
    for split in splits:
        members = [row for row in rows if split == "Overall" or split in (row["category"], row["l2-category"])]
        groups: dict[str, dict[Any, list[int]]] = {"fAcc": {}, "qAcc": {}}
        for row in members:
            fields = row["index"].split("_")
            for name, at in (("fAcc", 4), ("qAcc", 5)):
                groups[name].setdefault((row["l2-category"], fields[3], fields[at]), []).append(row["hit"])
        metrics[split] = {"aAcc": average([row["hit"] for row in members], 100)} | {
            name: average([int(min(hits)) for hits in found.values()], 100) for name, found in groups.items()
        }
    return metrics


def mathvista(data: Table, said: Said, head: bool, replies: dict[str, list[str]]) -> Any:
    """Section 5: counts and rows."""
    rows = scored_rows(data, said, formulas=not head)

    def right(row: dict[str, Any], value: Any) -> Any:
        """The value where it equals the answer, else None; of a choice any letter found."""
        if row["question_type"] == "multi_choice":
            choices = {LETTERS[at]: str(text) for at, text in enumerate(eval(row["choices"]))}
            return letter_of(said_text(value), choices, head)
        kind = {"integer": int, "float": float}.get(row["answer_type"])
        try:
            if kind and value is not None and row["answer"] is not None and kind(value) == kind(row["answer"]):
                return kind(value)
        except (ValueError, OverflowError):
            pass
        return None

    results = []
    for row in rows:
        row["rule"] = right(row, row["prediction"])
        value = row["rule"]
        if not value:
            tried = replies[row["index"]][:5]
            tried = [reply for reply in tried if not head or "Failed to obtain answer via API." not in reply]
            value = tried[0] if tried else ""
        results.append(value)
    last = {row["index"]: (row["rule"], value) for row, value in zip(rows, results, strict=True)}
    rules, results = zip(*(last[row["index"]] for row in rows), strict=True)
    whole = [isinstance(value, float) and value.is_integer() for value in results]  # a sheet's numbers have no .0
    shown_as = [str(int(value) if int_ else value) for value, int_ in zip(results, whole, strict=True)]
    results = sheet(shown_as, formulas=not head)
    counts: dict[str, list[int]] = {}
    shown = []
    for row, rule, value in zip(rows, rules, results, strict=True):
        found = right(row, value)
        hit = int(found == row["answer_option"] if row["question_type"] == "multi_choice" else found is not None)
        shown.append([int(row["index"]), None if value is None else str(value), int(bool(rule)), hit])
        for name in ("Overall", row["task"], *eval(row["skills"])):
            count = counts.setdefault(name, [0, 0, 0])
            for at, more in enumerate((1, int(bool(rule)), hit)):
                count[at] += more
    metrics = {
        name: {"tot": t, "prefetch": p, "hit": h, "prefetch_rate": 100 * p / t, "acc": 100 * h / t}
        for name, (t, p, h) in counts.items()
    }
    return metrics, shown


def submitted(answer: str, contractions: dict[str, str]) -> str:
    """Section 7, stage A."""
    out = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return words(marks(re.sub(r"[\n\t]", " ", out).strip(), r"(?<=\d),+(?=\d)"), contractions)


def marks(text: str, comma: str) -> str:
    out = text
    for mark in ';/[]"{}()=+\\_-><@`,?!':
        beside = f"{mark} " in text or f" {mark}" in text or re.search(comma, text)
        out = out.replace(mark, "" if beside else " ")
    return re.sub(r"\.(?!\d)", "", out, count=32)


def words(text: str, contractions: dict[str, str]) -> str:
    digits = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    out = []
    for word in text.lower().split():
        word = "0" if word == "none" else str(digits.index(word)) if word in digits else word
        if word not in ("a", "an", "the"):
            out.append(contractions.get(word, word))
    return " ".join(out)


def vqa_accuracy(answer: str, references: list[dict[str, Any]], contractions: dict[str, str]) -> float:
    """Section 7, stage B: 0 to 1."""
    given = [reference | {"answer": re.sub(r"[\n\t]", " ", reference["answer"]).strip()} for reference in references]
    answer = re.sub(r"[\n\t]", " ", answer).strip()
    if len({each["answer"] for each in given}) > 1:
        given = [each | {"answer": words(marks(each["answer"], r"\d,\d"), contractions)} for each in given]
        answer = words(marks(answer, r"\d,\d"), contractions)
    total = 0.0
    for each in given:
        total += min(1, len([other for other in given if other != each and other["answer"] == answer]) / 3)
    return total / len(given)


def gqa(questions: dict[str, Any], said: Said, choices: dict[str, Any] | None, consistency: bool) -> dict[str, Any]:
    """Section 8."""
    said = {
        key: re.sub(r"\.*$", "", text, count=1).lower() if text.endswith(".") else text.lower()
        for key, text in said.items()
    }
    counted = {key: question for key, question in questions.items() if question["isBalanced"]}
    hits = {key: int(said[key] == question["answer"]) for key, question in counted.items()}

    def share(keys: list[str]) -> float:
        return 100 * sum(hits[key] for key in keys) / len(keys) if keys else 0.0

    def steps(question: dict[str, Any]) -> str:
        texts = [f"{op['operation']}: {op['argument']}" for op in question["semantic"]]
        return str(len([t for t in texts if not re.search("exist|query: name|choose name", t)]))

    found: dict[str, Any] = {"accuracy": share(list(counted))}
    for name, of in (
        ("accuracyPerStructuralType", lambda q: q["types"]["structural"]),
        ("accuracyPerSemanticType", lambda q: q["types"]["semantic"]),
        ("accuracyPerSteps", steps),
        ("accuracyPerLength", lambda q: str(len(q["question"].split()))),
    ):
        groups: dict[str, list[str]] = {}
        for key, question in counted.items():
            groups.setdefault(of(question), []).append(key)
        found[name] = {group: [share(keys), len(keys)] for group, keys in groups.items()}
    query = [key for key, question in counted.items() if question["types"]["structural"] == "query"]
    found["open"], found["binary"] = share(query), share([key for key in counted if key not in query])
    for which, name in (("valid", "validity"), ("plausible", "plausibility")):
        inside = [
            said[key]
            in (["color", "material", "shape"] if "Common" in question["types"]["detailed"] else choices[key][which])
            for key, question in counted.items()
            if choices is not None
        ]
        found[name] = average(inside, 100) or 0.0
    if consistency:
        shares = []
        for key, question in counted.items():
            others = [other for other in question["entailed"] if other != key]
            if hits[key] and others:
                shares.append(average([said[other] == questions[other]["answer"] for other in others]))
        found["consistency"] = average(shares, 100) or 0.0
    total = weighted = 0.0
    for group in {question["groups"]["global"] for question in counted.values()} - {None}:
        members = [key for key, question in counted.items() if question["groups"]["global"] == group]
        gold, mine = [counted[key]["answer"] for key in members], [said[key] for key in members]
        weighted += len(members) * sum((mine.count(a) - gold.count(a)) ** 2 / gold.count(a) for a in set(gold))
        total += len(members)
    found["distribution"] = weighted / total / 100 if total else 0.0
    return found


def mia(items: list[dict[str, Any]], replies: list[str], last_component: bool) -> Any:
    """Section 9: means by type, and each row."""
    rows: list[dict[str, float] | None] = []
    for item, reply in zip(items, replies, strict=True):
        try:
            pieces = [piece.split(":")[1][1:].split("/") for piece in reply.partition(".")[0].split(",")[:-1]]
            values = [int(piece[0]) / int(piece[1]) for piece in pieces]
            total = reply.partition(".")[0].split(",")[-1]
            row = {item["component_type"][at]: value for at, value in enumerate(values)}
            if last_component:
                row["total_score"] = values[-1]
            else:
                parts = total.split(":")[1][1:].split("/")
                row["total_score"] = int(parts[0]) / int(parts[1])
            assert values
            rows.append(row)
        except (IndexError, ValueError, ZeroDivisionError, AssertionError):
            rows.append(None)
    names = {name for row in rows if row for name in row}
    return {name: average([row[name] for row in rows if row and name in row]) for name in names}, rows


def real(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def agrees(said: str, truth: str) -> bool:
    """Section 10, tests 1 to 6 over prepared texts (no two words are synonyms)."""
    wanted, mine = real(truth), real(said)
    if wanted is not None and mine is not None and abs(mine - wanted) <= 0.05 * abs(wanted):
        return True
    numbers = re.findall(r"\d[\d,]*\.?\d+", said)
    if wanted is not None:
        return any(abs(float(found.replace(",", "")) - wanted) <= 0.05 * abs(wanted) for found in numbers)
    if said in list("abcd") or truth in list("abcd"):
        return said == truth
    if truth[:1] == "[" and truth[-1:] == "]":
        return said == truth
    if truth[:1] == "(" and truth[-1:] == ")":
        return len(numbers) == 2 and numbers[0] == truth[1] and numbers[1] == truth[-2]
    return truth in said or (said != "" and said in truth)


def prepared(text: str, stops: int) -> str:
    text = text.strip().lower()
    found = re.search(r"the answer is (.*?)(?:\.\s|$)", text)
    text = found.group(1) if found else text
    for _ in range(stops):
        text = text[:-1] if text.endswith(".") else text
    text = text[:-1] if text.endswith("%") else text
    return text[:-2] if text.endswith("°c") else text


def maze(text: str, markers: list[str]) -> float:
    named: list[str] = []
    at = 0
    while at < len(text) - 1:
        pair = text[at : at + 2]
        letter = [c.isascii() and c.isalpha() for c in pair]
        digit = [c.isdecimal() for c in pair]
        if (letter[0] and digit[1]) or (digit[0] and letter[1]):
            named.append(pair)
            at += 1
        at += 1
    return len({marker for marker in markers if marker in named}) / len(markers) if markers else 0.0
