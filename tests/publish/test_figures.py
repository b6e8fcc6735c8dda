import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mmevol.config import FIGURES
from mmevol.config.publish import CompositionSettings, Lineage
from mmevol.publish.composition import composition
from mmevol.publish.figures import FORMATS, script
from mmevol.publish.gallery import WIDTH, gallery
from mmevol.publish.lineage import chosen
from mmevol.publish.results import results
from mmevol.publish.table import write_table
from mmevol.records import BadInput
from mmevol.store import file_digest, read_dicts
from PIL import Image
from small_study import Study, make_study

FOLDER = Path(__file__).parents[2] / "paper_figures"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[name] = found
    spec.loader.exec_module(found)
    return found


def tables(study: Study) -> Path:
    folder = study.root / "tables"
    if not folder.exists():
        results(study.results, evaluate=study.root / "evaluate", main=folder / "main", benchmarks=folder / "benchmarks")
        composition(
            CompositionSettings(),
            shards=study.shards,
            audit=study.root / "seeds/audit.json",
            out=folder / "composition",
        )
    return folder


def inputs(study: Study, name: str) -> dict[str, list[Path]]:
    dataset = {"dataset": [study.dataset]}
    return {
        "fig1_lineage": {**dataset, "seeds": study.shards, "images": [study.root / "seeds" / "images"]},
        "fig2_composition": {"composition": [tables(study) / "composition.csv"]},
        "fig9a_skills": dataset,
        "fig9b_steps": dataset,
        "fig9c_difficulty": {**dataset, "judged": study.judged},
        "fig10_longtail": dataset,
        "fig_loss": {"losses": sorted((study.root / "train/finetune").glob("*/seed_0/loss.csv"))},
        "fig_results": {"benchmarks": [tables(study) / "benchmarks.csv"]},
    }[name]


Draw = Callable[..., dict[str, bytes]]


def drawn(study: Study, name: str, out: Path, settings: str = "{}") -> dict[str, bytes]:
    given = inputs(study, name)
    arguments = ["--settings", settings, "--out", str(out / name)]
    for option, paths in given.items():
        arguments += [f"--{option}", *map(str, paths)]
    script(module(name).draw, name, list(given), arguments)
    return {kind: (out / f"{name}.{kind}").read_bytes() for kind in FORMATS}


def test_every_figure_of_the_config_has_its_module() -> None:
    assert {p.stem for p in FOLDER.glob("*.py")} == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_twice_to_the_same_bytes_and_knows_no_date(name: str, study: Study, tmp_path: Path) -> None:
    first, second = (drawn(study, name, tmp_path / folder) for folder in ("one", "two"))
    assert first == second
    assert b"CreationDate" not in first["pdf"] and b"ModDate" not in first["pdf"] and first["pdf"].startswith(b"%PDF")
    assert b"dc:date" not in first["svg"] and b"dc:creator" not in first["svg"]
    with Image.open(tmp_path / "one" / f"{name}.png") as image:
        assert "Software" not in image.info
        assert image.convert("L").getextrema() != (255, 255), "an empty figure"


@pytest.mark.parametrize("name", ["fig1_lineage", "fig9a_skills", "fig9c_difficulty", "fig10_longtail"])
def test_a_study_of_two_rounds_and_a_dozen_records_can_be_drawn(name: str, tiny: Study, tmp_path: Path) -> None:
    assert all(drawn(tiny, name, tmp_path).values())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("tiny"), records=12, rounds=2)


def test_the_sidecar_holds_what_the_figure_does_not(study: Study, tmp_path: Path) -> None:
    drawn(study, "fig9a_skills", tmp_path, '{"colors": {"seed": "#123456"}}')
    sidecar = json.loads((tmp_path / "fig9a_skills.provenance.json").read_text())
    assert sidecar["settings"] == {"colors": {"seed": "#123456"}}
    assert sidecar["inputs"][str(study.dataset)] == file_digest(study.dataset)
    assert any(path.endswith("paper_figures/fig9a_skills.py") for path in sidecar["inputs"])
    assert set(sidecar["outputs"].values()) == {file_digest(tmp_path / f"fig9a_skills.{kind}") for kind in FORMATS}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", sidecar["time"])
    assert b"#123456" in (tmp_path / "fig9a_skills.svg").read_bytes()


def test_colours_and_size_are_the_settings(study: Study, tmp_path: Path) -> None:
    plain = drawn(study, "fig9b_steps", tmp_path / "plain")
    wide = drawn(study, "fig9b_steps", tmp_path / "wide", '{"width": 7, "height": 2}')
    assert plain["svg"] != wide["svg"]
    with Image.open(tmp_path / "wide" / "fig9b_steps.png") as image:
        assert image.size == (1400, 400)


def test_the_lineage_shows_the_picture_that_it_names_as_its_input(study: Study, tmp_path: Path) -> None:
    drawn(study, "fig1_lineage", tmp_path)
    sidecar = json.loads((tmp_path / "fig1_lineage.provenance.json").read_text())
    assert any(path.endswith(".png") for path in sidecar["inputs"])
    key = next(r["record"] for r in read_dicts(study.dataset))
    drawn(study, "fig1_lineage", tmp_path / "other", json.dumps({"record": key}))
    other = json.loads((tmp_path / "other" / "fig1_lineage.provenance.json").read_text())
    assert f"{study.root}/seeds/images/{key[-5:]}.png" in other["inputs"]


def test_the_lineage_that_is_chosen_has_a_loss_and_several_directions(study: Study) -> None:
    rows = chosen(study.dataset, None)
    assert len({r["record"] for r in rows}) == 1
    assert any(r["outcome"] == "eliminated" for r in rows)
    assert len({r["direction"] for r in rows if r["outcome"] == "survived"}) >= 2


def test_a_lineage_of_nobody_is_bad_input(study: Study) -> None:
    with pytest.raises(BadInput, match=r"fig1_lineage\.record"):
        chosen(study.dataset, "nobody")


def test_cards_stand_inside_the_page_and_apart(study: Study) -> None:
    figure = module("fig1_lineage")
    settings = Lineage()
    cards = figure.laid_out(chosen(study.dataset, None), settings)
    for card in cards:
        assert (
            card.x >= 0
            and card.x + card.width <= settings.width
            and card.y >= 0
            and card.y + card.height <= settings.height
        )
    for i, a in enumerate(cards):
        for b in cards[i + 1 :]:
            apart_x = a.x + a.width <= b.x or b.x + b.width <= a.x
            assert apart_x or a.y + a.height <= b.y + 1e-9 or b.y + b.height <= a.y + 1e-9


@pytest.mark.parametrize("rows", [12, 400])
def test_a_long_tail_keeps_its_names_apart(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import Counter

    from mmevol.config.publish import LongTail
    from mmevol.publish.figures import canvas

    figure = module("fig10_longtail")
    counts = {
        "seed": Counter({f"thing {i}": 3 for i in range(0, rows, 3)}),
        "evolved": Counter({f"thing {i}": rows - i for i in range(rows)}),
    }
    monkeypatch.setattr(figure, "objects", lambda _: counts)
    with canvas(LongTail(), FOLDER / "mmevol.mplstyle") as page:
        figure.draw(page, LongTail(), dataset=[tmp_path])
        labels = [label.get_text() for label in page.axes[0].get_xticklabels()]
    assert labels[0] == "thing 0" and len(labels) <= 40
    assert len(page.axes[0].containers[1]) == min(rows, 200)


def test_a_density_has_area_one_and_its_mean() -> None:
    from collections import Counter

    import numpy as np

    at = np.linspace(-5, 15, 4001)
    for counts in (Counter({5.0: 100}), Counter({1.0: 3, 4.0: 5, 9.5: 2})):
        curve = module("fig9c_difficulty").density(counts, at)
        area = float(np.trapezoid(curve, at))
        mean = float(np.trapezoid(curve * at, at))
        assert area == pytest.approx(1, abs=1e-3)
        assert mean == pytest.approx(sum(v * n for v, n in counts.items()) / counts.total(), abs=1e-2)


def test_the_donut_has_own_before_curated_and_groups_by_size(study: Study, tmp_path: Path) -> None:
    figure = module("fig2_composition")
    parts = figure.segments(tables(study) / "composition.csv")
    assert parts == [
        ("world", "world", 64, False),
        ("world", "world", 16, True),
        ("photos", "photos", 32, False),
        ("photos", "photos", 8, True),
    ]
    from mmevol.publish.composition import COLUMNS
    from mmevol.publish.table import Table

    many: list[list[Any]] = [["g", f"s{i}", "l", 100 - i, 0, 0.0, 1, 0, 0] for i in range(40)]
    write_table(tmp_path / "many", Table("T", COLUMNS, many))
    parts = figure.segments(tmp_path / "many.csv")
    handles, texts = figure.entries(parts, [(0.0, 0.0, 0.0)] * len(parts), 100)
    assert len(handles) == len(texts) == 16 and texts[-1].startswith("25 smaller")


def test_the_gallery_is_small(study: Study, tmp_path: Path) -> None:
    drawn(study, "fig9a_skills", tmp_path / "figures")
    drawn(study, "fig_results", tmp_path / "figures")
    written = gallery(figures=tmp_path / "figures", out=tmp_path / "gallery")
    assert [p.name for p in written] == ["fig9a_skills.png", "fig_results.png"]
    for path in written:
        with Image.open(path) as image:
            assert image.width <= WIDTH and image.mode == "P"
        assert path.stat().st_size < (tmp_path / "figures" / path.name).stat().st_size
    again = gallery(figures=tmp_path / "figures", out=tmp_path / "again")
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in written]


def test_a_gallery_of_nothing_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no figure"):
        gallery(figures=tmp_path, out=tmp_path / "gallery")
