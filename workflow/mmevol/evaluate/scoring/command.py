"""``mmevol evaluate score BENCHMARK --inputs DIR --rules R --output score.json``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from mmevol.command import RunText, parsed, started
from mmevol.config.commands import JudgeSettings
from mmevol.evaluate.scoring import Rules
from mmevol.records import BadInput


def _file(text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(help=text)
    return option


def _check_place(output: Path) -> None:
    """Raise `BadInput` where no file can be written, before anything is asked or computed."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        found = (
            "a folder" if output.is_dir() else "" if os.access(output.parent, os.W_OK) else "a folder that is closed"
        )
    except OSError as error:
        found = str(error.strerror)
    if found:
        raise BadInput(
            file=str(output),
            field="--output",
            found=found,
            expected="a place for a file",
            remedy="name another",
        )


def score_command(
    benchmark: Annotated[str, typer.Argument(help="Which benchmark, as MME, MMStar, VQA_v2, MIA-Bench …")],
    output: Annotated[Path, typer.Option(help="Where the score goes (JSON).")],
    rules: Annotated[Rules, typer.Option(help="Whose rules.")] = "mmevol",
    inputs: Annotated[Path | None, typer.Option(help="Folder that holds the files under their usual names.")] = None,
    data: Annotated[Path | None, _file("data.tsv, the benchmark's table.")] = None,
    questions: Annotated[Path | None, _file("questions.json.")] = None,
    annotations: Annotated[Path | None, _file("annotations.json (VQA_v2).")] = None,
    submitted: Annotated[
        Path | None, _file("submitted.json (VQA_v2): what a submission answers, if not the questions.")
    ] = None,
    choices: Annotated[Path | None, _file("choices.json (GQA).")] = None,
    predictions: Annotated[Path | None, _file("predictions.jsonl.")] = None,
    judge_replies: Annotated[Path | None, _file("Recorded replies of the judge.")] = None,
    blink_judge_replies: Annotated[Path | None, _file("Recorded replies of BLINK's yes/no judge.")] = None,
    maze_data: Annotated[Path | None, _file("maze_data.jsonl (MMSInst).")] = None,
    nlp_map: Annotated[Path | None, _file("nlp_map.json, recorded language tools (MMSInst).")] = None,
    meta: Annotated[Path | None, _file("meta.json, how to score: mode, consistency, quick_extract.")] = None,
    consistency: Annotated[bool, typer.Option(help="Also GQA's consistency.")] = False,
    judge: Annotated[str | None, typer.Option(help="A live judge: JSON of its endpoint and identity.")] = None,
    usage: Annotated[Path | None, typer.Option(help="Where it goes what the live judge was asked (JSON).")] = None,
    run: RunText = "{}",
) -> None:
    """Score the predictions of a benchmark. A file given by its own option takes the place of the one in the folder."""
    from mmevol.evaluate.scoring.inputs import read_inputs
    from mmevol.evaluate.scoring.score import score
    from mmevol.store import write_json

    paths = {
        "data": data,
        "questions": questions,
        "annotations": annotations,
        "submitted": submitted,
        "choices": choices,
        "predictions": predictions,
        "judge_replies": judge_replies,
        "blink_judge_replies": blink_judge_replies,
        "maze_data": maze_data,
        "nlp_map": nlp_map,
        "meta": meta,
    }
    _check_place(output)
    facts = started(run)
    given = {part: path for part, path in paths.items() if path is not None}
    read = read_inputs(benchmark, inputs, given, consistency)
    if judge is None:
        result = score(benchmark, rules, read)
    else:
        from mmevol.evaluate.judging import live

        with live(parsed(JudgeSettings, judge, "--judge"), facts, benchmark, inputs or Path(), usage) as judges:
            result = score(benchmark, rules, read, judges)
    write_json(output, dict(result))  # plain data throughout; dumped it would be there twice
    if benchmark == "VQA_v2":
        from mmevol.evaluate.scoring import vqa

        write_json(output.with_name("submission.json"), vqa.submitted(read))
    shown = "no number" if result.reported is None else f"{result.reported:.2f}"
    error = "" if result.standard_error is None else f" ± {result.standard_error:.2f}"
    typer.echo(f"{benchmark} {rules} {result.reported_name}: {shown}{error} (n {result.n})")
    for note in result.notes:
        typer.echo(f"  {note}", err=True)
