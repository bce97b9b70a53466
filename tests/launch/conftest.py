"""The report and the registry are tested on real evaluations, which the evaluation tests' mock server makes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.append(str(Path(__file__).parents[1] / "eval_adapters"))

if TYPE_CHECKING:
    from small_versions import Bench


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> "Bench":
    """Five small versions, trained and evaluated once for all tests of the registry."""
    from small_versions import Bench  # EvalScope and MLflow take seconds to import

    return Bench(tmp_path_factory.mktemp("bench"))
