from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from scripted import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A scripted endpoint on loopback."""
    running = Server()
    yield running
    running.close()


@pytest.fixture
def replies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty reply store of the test's own."""
    root = tmp_path / "replies"
    monkeypatch.setenv("MMEVOL_REPLIES", str(root))
    return root


settings.register_profile("house", deadline=None, print_blob=True)  # a slow machine is no failure
settings.load_profile("house")
