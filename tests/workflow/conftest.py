"""The test study, run once for all tests of this folder."""

import pytest
from place import Place, new_place


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The test study, run once from nothing to its tables and figures."""
    place = new_place(tmp_path_factory.mktemp("study") / "done")
    place.run()
    return place
