from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
from docutils.core import publish_parts
from mmevol.config import FIGURES

REPORT = Path(__file__).parents[2] / "workflow" / "report"
STUDY: dict[str, Any] = {
    "study": "demo",
    "seed": 7,
    "endpoints": {"evolver": {"launch": "embedded"}, "judge": {"same_as": "evolver"}},
    "seeds": {"source": "world"},
    "evolve": {"evolutions": {"full": {}}},
    "train": {"arms": {"seed": {}, "evolved": {}}},
    "evaluate": {"blind": ["evolved"]},
}
REMOTE: dict[str, Any] = {
    "study": "mine",
    "endpoints": {"evolver": {"base_url": "https://example.org/v1"}},
    "seeds": {"source": "records.json"},
}


def page(name: str, config: dict[str, Any]) -> str:
    """A caption as Snakemake renders it: Jinja, then reStructuredText, of which no warning is let through."""
    text = jinja2.Environment().from_string((REPORT / f"{name}.rst").read_text(encoding="utf-8"))
    rendered = text.render(
        snakemake=SimpleNamespace(config=config, params=SimpleNamespace(), wildcards=SimpleNamespace())
    )
    parts = publish_parts(rendered, writer="html", settings_overrides={"halt_level": 2, "report_level": 2})
    return " ".join(str(parts["html_body"]).split())


@pytest.mark.parametrize("name", sorted(p.stem for p in REPORT.glob("*.rst")))
@pytest.mark.parametrize("config", [STUDY, REMOTE], ids=["embedded", "remote"])
def test_every_caption_renders(name: str, config: dict[str, Any]) -> None:
    assert len(page(name, config)) > 100


def test_every_figure_and_table_has_its_caption() -> None:
    tables = {
        "main",
        "benchmarks",
        "rounds",
        "agreement",
        "elimination",
        "composition",
        "contamination",
        "cost",
        "mixtures",
        "paper",
        "findings",
    }
    assert {p.stem for p in REPORT.glob("*.rst")} == {*FIGURES, *tables, "workflow"}


def test_the_report_says_what_the_teacher_is() -> None:
    embedded, remote = page("workflow", STUDY), page("workflow", REMOTE)
    assert "symbolic program composer" in embedded and "no language model" in embedded
    assert "claim about the paper's numbers" in embedded
    assert "symbolic program composer" not in remote


def test_the_report_says_that_there_are_no_pictures() -> None:
    assert "no pictures" in page("workflow", REMOTE)
    assert "no pictures" not in page("workflow", STUDY)
    with_pictures = REMOTE | {"seeds": {"source": "records.json", "images_root": "images"}}
    assert "no pictures" not in page("workflow", with_pictures)
