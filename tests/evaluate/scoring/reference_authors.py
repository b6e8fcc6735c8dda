"""The authors' rules of scoring once more, plainly, beside those of `reference`."""

import re
from typing import Any

from reference import LETTERS, Said, Table, average, f1
from test_mmmu import expected_letter, expected_values


def mmmu(data: Table, said: Said) -> Any:
    """Choice and open rows by the authors' parser: rows and hits by subject and split."""
    rows, hits = [], {}
    for row in data:
        if row["index"] not in said:
            continue
        answers = eval(row["answer"]) if row["answer"].startswith("[") else [row["answer"]]
        if row["question_type"] == "multiple-choice":
            letter = expected_letter(said[row["index"]], {x: row[x] for x in LETTERS if row.get(x)})
            hit, shown = letter in answers, letter
        else:
            values = expected_values(said[row["index"]])
            gold: set[Any] = set()
            for answer in answers:
                answer = answer.strip()
                try:
                    gold.add(round(float(answer.replace(",", "")), 2))
                except ValueError:
                    low = answer.lower()
                    gold |= {f" {low}", f"{low} "} if len(low) == 1 else {low}
            texts = [value for value in gold if isinstance(value, str)]
            hit = any(
                any(text in value for text in texts) if isinstance(value, str) else value in gold - set(texts)
                for value in values
            )
            numbers = sorted(value for value in values if not isinstance(value, str) and value == value)
            numbers = [value if abs(value) < float("inf") else str(value) for value in numbers]
            shown = [*numbers, *sorted(value for value in values if isinstance(value, str))]
        rows.append([int(row["index"]), shown, int(hit)])
        subject = "_".join(row["id"].split("_")[1:-1])
        hits.setdefault(row["split"], {}).setdefault(subject, []).append(int(hit))
    return rows, {split: {name: average(found) for name, found in of.items()} for split, of in hits.items()}


def pope(data: Table, said: Said) -> dict[str, dict[str, float | None]]:
    """Section 3 of the authors' rules, a run a category."""
    metrics = {}
    for name in {name for row in data for name in row["category"].split(",")}:
        pairs = []
        for row in data:
            if row["index"] in said and name in row["category"].split(","):
                tokens = said[row["index"]].partition(".")[0].replace(",", "").split(" ")
                pairs.append((not any(t in ("No", "not", "no") for t in tokens), row["answer"] != "No"))
        if pairs:
            precision, recall, both = f1(pairs)
            accuracy, yes = average([a == b for a, b in pairs]), average([a for a, _ in pairs])
            metrics[name] = {
                "accuracy": accuracy,
                "precision": precision,
                "recall": recall,
                "f1": both,
                "yes_ratio": yes,
            }
    return metrics


def mme(data: Table, said: Said) -> dict[str, float | None]:
    """Section 4 of the authors' rules: scores of the tasks."""
    tasks: dict[str, list[int | None]] = {}
    for row in data:
        if row["index"] in said:
            reply = said[row["index"]].lower() + "\n"
            word = "yes" if "yes" in reply[:4] else "no" if "no" in reply[:4] else "other"
            hit = None if "\t" in said[row["index"]] else int(word == row["answer"].lower())
            tasks.setdefault(row["category"], []).append(hit)
    scores: dict[str, float | None] = {}
    for name, hits in tasks.items():
        counted = [hit for hit in hits if hit is not None]
        pairs = [int(hits[at] == hits[at + 1] == 1) for at in range(0, len(hits) - 1, 2)]
        if len(hits) % 2 or not counted:
            scores[name] = None
        else:
            scores[name] = 100 * (sum(counted) / len(counted) + sum(pairs) / len(pairs))
    return scores


def hallusion(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    """Section 5 of the authors' rules over rows of ``place`` (category, subcategory, set, figure, question), ``visual``,
    ``yes``, ``v`` (verdict) and ``s`` (same)."""
    good = {
        row["place"]: row["v"] == 1 or (row["v"] == 2 and row["place"][0] == "VS" and row["place"][3] == "0")
        for row in rows
    }

    def groups(places: list[Any], leave: int) -> list[list[bool]]:
        found: dict[Any, list[bool]] = {}
        for place in places:
            found.setdefault(place[:leave] + place[leave + 1 :], []).append(good[place])
        return list(found.values())

    places = [row["place"] for row in rows]
    figures = groups([place for place in places if not (place[0] == "VS" and place[3] == "0")], 4)
    easy = groups([row["place"] for row in rows if row["visual"] != "2"], 3)
    hard = groups([row["place"] for row in rows if row["visual"] == "2"], 3)
    wrong = [row for row in rows if not good[row["place"]]]
    causes = []
    verdicts = {row["place"]: row["v"] for row in rows}
    for row in rows:
        kind, _, _, figure, _ = row["place"]
        v, s, o = row["v"], row["s"], verdicts.get((*row["place"][:3], "0", row["place"][4]))
        if v == 1:
            continue
        if kind == "VD":
            if figure == "0" or o != 1 or v == 2:
                causes.append("vision")
            else:
                causes.append("mixed" if s else "vision")
        elif figure == "0":
            causes += ["language"] if v == 0 else []
        elif o == 0:
            causes.append(("language" if s else "mixed") if v == 0 else "mixed")
        elif o == 2 or v == 2 or row["visual"] == "1":
            causes.append("vision")
        else:
            causes.append("language" if s else "vision")
    return {
        "aAcc": average(list(good.values()), 100),
        "qAcc": average([all(group) for group in groups(places, 3)], 100),
        "easy": average([all(group) for group in easy], 100),
        "hard": average([all(group) for group in hard], 100),
        "fAcc": average([all(group) for group in figures], 100),
        "inconsistent": average([any(group) and not all(group) for group in figures], 100),
        "wrong": average([not any(group) for group in figures], 100),
        "figure_score": average([sum(group) / len(group) for group in figures], 100),
        "yes_difference": sum(good[row["place"]] == row["yes"] for row in rows) / len(rows)
        - sum(row["yes"] for row in rows) / len(rows),
        "false_positive_ratio": average([not row["yes"] for row in wrong]),
    } | {
        f"cause_{name}": 100 * causes.count(name) / len(causes) if causes else None
        for name in ("language", "vision", "mixed")
    }


def distance(left: str, right: str) -> int:
    row = list(range(len(right) + 1))
    for a, x in enumerate(left, 1):
        new = [a]
        for b, y in enumerate(right, 1):
            new.append(min(new[-1] + 1, row[b] + 1, row[b - 1] + (x != y)))
        row = new
    return row[-1]


def mathvista(row: dict[str, str], reply: str, judge: str) -> str | None:
    """The normalised prediction: section 2 of the authors' rules."""
    choices, kind = (eval(row["choices"]) if row["choices"] else []), row["answer_type"]
    of_choice = row["question_type"] == "multi_choice"
    found = judge.strip()
    if reply == "" or (of_choice and reply in choices):
        found = reply
    elif kind in ("integer", "float"):
        try:
            found = str(int(reply) if kind == "integer" else float(reply))
        except ValueError:
            pass
    if of_choice:
        found = found.strip()
        bracketed = re.search(r"\(([A-Za-z])\)", found)
        found = bracketed[1].upper() if bracketed else found
        if found in list(LETTERS[: len(choices)]):
            return str(choices[LETTERS.index(found)])
        near = [distance(found, each) for each in choices]
        return str(choices[near.index(min(near))])
    try:
        if kind == "integer":
            return str(int(float(found)))
        if kind == "float":
            return str(round(float(found), int(row["precision"])))
    except (ValueError, OverflowError):
        return None
    return found
