"""The report is tested on real evaluations, which the evaluation tests' mock server makes."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "eval_adapters"))
