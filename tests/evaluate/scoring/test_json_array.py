"""A long JSON array read piece by piece gives what json gives, wherever the pieces end."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.evaluate.scoring import json_array
from mmevol.evaluate.scoring.json_array import JsonArray
from mmevol.records import BadInput

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.text(max_size=3), values, max_size=3),
    st.lists(values, max_size=5),
    st.integers(1, 9),
    st.booleans(),
)
def test_same_as_json(other: dict[str, Any], items: list[Any], chunk: int, wide: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "CHUNK", chunk)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "annotations.json"
            text = json.dumps({**other, "annotations": items, "z": 1}, indent=2 if wide else None)
            path.write_text(text, encoding="utf-8")
            array = JsonArray(path, "annotations")
            assert list(array) == items == list(array)


@pytest.mark.parametrize(
    "text", ['{"annotations": [{"a": 1}, {"a"', '{"annotations": [1 2', "[]", "", '{"info": {}}', '{"annotations": {}}']
)
def test_what_is_no_such_array_is_bad_input(tmp_path: Path, text: str) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as error:
        list(JsonArray(path, "annotations"))
    assert error.value.file == str(path)
