"""Multimodal self-instruct as its authors publish it: a folder a task, each with its questions, a JSON object a line.

Of the eight files the reference makes one; so is it done here. Where the names inside are not the reference's, those of the
authors' own repository are looked for.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmevol.evaluate.official.download import NotThere
from mmevol.evaluate.scoring.mmsinst import TASKS
from mmevol.records import BadInput
from mmevol.store import write_text

ALSO = {"iq": "visual puzzles", "layout": "planar layout", "maze": "road map"}
"""What else a task's folder may be called."""
RENAMED = (("_dataset2", ""), ("_dataset", ""), ("eval", "test"), ("generate_image", "test"))
"""How the reference comes from a picture's path in a question to its path below the folder of all tasks."""
FIELDS = ("question_id", "image", "text", "answer", "type")


def question_files(root: Path) -> dict[str, Path]:
    """The file of questions of each task below `root`. Raises `NotThere`."""
    found = {}
    for task in TASKS:
        folders = [root / name for name in (task, ALSO.get(task)) if name]
        files = [
            file for folder in folders for pattern in ("test*.jsonl", "eval*.json*") for file in folder.glob(pattern)
        ]
        if len(files) != 1:
            named = ", ".join(sorted(map(str, files))) or "none"
            raise NotThere(f"one file of questions is needed in {' or '.join(map(str, folders))}, there is {named}")
        found[task] = files[0]
    return found


def items(root: Path) -> Iterator[dict[str, Any]]:
    """All questions, task by task, each with its ``source`` and the path of its picture below `root`.

    Raises `NotThere` for a picture that is not there, `BadInput` for a line that is no question.
    """
    for task, file in question_files(root).items():
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            item = _item(file, number, line)
            yield {
                "question_id": item["question_id"],
                "question": item["text"],
                "image": _picture(root, task, item["image"]),
                "answer": item["answer"],
                "type": item["type"],
                "markers": item.get("markers", []),
                "source": task,
            }


def lack(root: Path) -> str:
    """What of questions and pictures is missing below `root`; '' if nothing."""
    try:
        for _ in items(root):
            pass
    except NotThere as error:
        return str(error)
    return ""


def _item(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        item = json.loads(line)
    except json.JSONDecodeError as error:
        item = str(error)
    if isinstance(item, dict) and all(name in item for name in FIELDS):
        return item
    raise BadInput(
        file=f"{file}:{number}",
        field="(line)",
        found=str(item)[:80],
        expected=f"an object with {', '.join(FIELDS)}",
        remedy="fetch the archive again",
    )


def _picture(root: Path, task: str, image: str) -> str:
    renamed = image
    for old, new in RENAMED:
        renamed = renamed.replace(old, new)
    for name in dict.fromkeys((image, renamed, f"{task}/{image}", f"{task}/{renamed}")):
        path = root / name
        if path.is_file() and path.resolve().is_relative_to(root.resolve()):
            return name
    raise NotThere(f"the picture {image} of task {task}, looked for as {renamed} too")


def write_questions(root: Path, path: Path) -> None:
    """All questions as one JSON list."""
    lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in items(root))
    write_text(path, f"[\n{lines}\n]\n")
