"""The doctor's look at this installation."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from mmevol.doctor import installation as module
from mmevol.doctor.installation import folders, installation, packages


def test_a_whole_installation_is_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MMEVOL_RESULTS", str(tmp_path / "not/yet/there"))
    monkeypatch.setattr(module, "FREE", 1)
    assert installation() == 0
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_named_and_only_the_package_itself_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in ("orjson", "torch"):
            raise PackageNotFoundError(name)
        return "0.0.1"

    monkeypatch.setattr(module, "version", version)
    rows = {row.expected: row for row in packages()}
    assert (rows["mmevol"].verdict, rows["mmevol"].found) == ("wrong", "missing: orjson")
    assert (rows["mmevol[train]"].verdict, rows["mmevol[train]"].found) == ("note", "missing: torch")
    assert rows["mmevol[train]"].remedy == "pip install 'mmevol[train]', or make setup"
    assert "snakemake 0.0.1 (tested: " in rows["mmevol[workflow]"].found
    assert installation() == 2


def test_an_extra_has_a_row_where_it_needs_something(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "openai":
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(module, "version", version)
    monkeypatch.setattr(module, "pins", dict)
    needs = ["orjson>=3", 'openai>=3; extra == "batch"', 'mmevol[batch]; extra == "dev"']
    monkeypatch.setattr(module, "requires", lambda _: needs)
    rows = {row.expected: row for row in packages()}
    assert [*rows] == ["mmevol", "mmevol[batch]", "mmevol[dev]"]
    assert (rows["mmevol[batch]"].subject, rows["mmevol[batch]"].verdict) == ("packages for batch mode", "note")
    assert rows["mmevol[batch]"].remedy == "pip install 'mmevol[batch]', or make setup"
    monkeypatch.setattr(module, "requires", lambda _: [*needs, 'pandas>=2; extra == "score"'])
    assert "packages for scoring" in {row.subject for row in packages()}


def test_a_build_of_a_tested_version_is_as_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    pins = module.pins()
    assert {"torch", "aiohttp", "snakemake"} <= pins.keys()
    monkeypatch.setattr(module, "version", lambda name: pins[name] + "+cpu" if name in pins else "1")
    assert {row.found for row in packages()} == {"all there"}


def test_a_folder_that_may_not_be_written_and_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MMEVOL_RESULTS", str(tmp_path))
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    monkeypatch.setattr(module, "FREE", 1e18)
    results, replies = folders()
    assert (results.verdict, results.remedy) == ("wrong", "set MMEVOL_RESULTS to a folder of yours")
    assert (replies.verdict, replies.remedy) == ("note", "make room, or set MMEVOL_REPLIES")
