"""WordNet's own files: forms, exceptions and parts of speech; and the real database where it is installed."""

import json
import zipfile
from pathlib import Path

import pytest
from mmevol.evaluate.scoring.wordnet import ENDINGS, VERSION, WordNet, places
from mmevol.records import BadInput

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "MMSInst"
INDEX = {
    "noun": [
        "car n 2 1 @ 2 1 02958343 02959942",
        "auto n 1 1 @ 1 1 02958343",
        "box n 1 0 1 0 00000011",
        "mouse n 1 0 1 0 00000012",
    ],
    "verb": ["box v 1 1 @ 1 0 00000021", "go v 1 0 1 0 00000022", "travel v 1 0 1 0 00000022"],
    "adj": ["fast a 1 1 & 1 0 00000031", "quick a 1 1 & 1 0 00000031"],
    "adv": ["fast r 1 0 1 0 00000031"],
}
EXCEPTIONS = {"noun": ["mice mouse"], "verb": ["went go"], "adj": [], "adv": []}


def database(folder: Path, version: str = VERSION) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part in ENDINGS:
        lines = [f"  3 {version} Copyright 2006", *INDEX[part]]
        (folder / f"index.{part}").write_text("".join(line + "  \n" for line in lines))
        (folder / f"{part}.exc").write_text("".join(line + "\n" for line in EXCEPTIONS[part]))
    return folder


@pytest.fixture
def wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WordNet:
    monkeypatch.setenv("WNSEARCHDIR", str(database(tmp_path / "dict")))
    return WordNet()


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("car", "auto", True),
        ("Cars", "auto", True),
        ("mice", "mouse", True),
        ("boxes", "box", True),
        ("went", "travel", True),
        ("faster", "quickest", True),
        ("fast", "quick", True),
        ("car", "box", False),
        ("box", "mouse", False),
        ("nothing", "nothing", False),
        ("", "", False),
        ("car auto", "car", False),
    ],
)
def test_forms(wordnet: WordNet, left: str, right: str, same: bool) -> None:
    assert wordnet.share(left, right) is same is wordnet.share(right, left)


def test_parts_of_speech_do_not_mix(wordnet: WordNet) -> None:
    assert wordnet.synsets("fast") == {("adj", "00000031"), ("adv", "00000031")}
    assert wordnet.synsets("box") == {("noun", "00000011"), ("verb", "00000021")}


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WNSEARCHDIR", str(database(tmp_path / "other", "WordNet 3.1")))
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "nltk"))
    monkeypatch.setattr(
        "mmevol.evaluate.scoring.wordnet.places", lambda: (p for p in places() if tmp_path in Path(str(p)).parents)
    )
    with pytest.raises(BadInput, match="wordnet-base"):
        WordNet().share("car", "auto")
    (tmp_path / "nltk/corpora").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "nltk/corpora/wordnet.zip", "w") as archive:
        for file in database(tmp_path / "dict").iterdir():
            archive.write(file, f"wordnet/{file.name}")
    assert WordNet().share("car", "auto")


@pytest.fixture(scope="module")
def installed() -> WordNet:
    found = WordNet()
    try:
        found.share("", "")
    except BadInput:
        pytest.skip("WordNet 3.0 is not installed")
    return found


@pytest.mark.parametrize("name", ["case_01", "case_02"])
def test_the_recorded_synonyms(installed: WordNet, name: str) -> None:
    recorded = json.loads((GOLDEN / name / "nlp_map.json").read_text(encoding="utf-8"))["synonyms"]
    assert recorded and [[said, truth, installed.share(said, truth)] for said, truth, _ in recorded] == recorded


def test_it_finds_what_nltk_finds(installed: WordNet) -> None:
    reader = pytest.importorskip("nltk.corpus", reason="NLTK is not installed").wordnet
    try:
        reader.ensure_loaded()
    except LookupError:
        pytest.skip("NLTK has no WordNet")
    words = sorted(installed._index["noun"])[::97] + sorted(installed._index["verb"])[::29]
    parts = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}
    for word in [
        form for base in words for form in (base, base + "s", base + "ies", base + "ing", base.upper() + "est")
    ]:
        theirs = {(parts[synset.pos()], f"{synset.offset():08d}") for synset in reader.synsets(word)}
        assert installed.synsets(word) == theirs, word
