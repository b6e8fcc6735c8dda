"""The test study, run once for all tests of this folder."""

import os

import pytest
from filelock import FileLock
from place import Place, new_place


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The test study, run once from nothing to its tables and figures; processes of one test run share it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    place = new_place(root / "done")
    with FileLock(root / "done.lock"):
        if not (root / "done.whole").exists():
            place.run()
            (root / "done.whole").touch()
    return place
