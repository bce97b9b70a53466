"""Reviews that this version of the kit did not write."""

import json
from pathlib import Path

import pytest

from eval_adapters.reviews import read_reviews
from reward_plugins.errors import Refused


def test_rows_of_an_older_version_are_refused_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "reviews.jsonl"
    score = {"extracted_prediction": "1", "explanation": "", "prediction": "1", "metadata": {"status": "correct"}}
    review = {
        "index": 0,
        "messages": [],
        "sample_score": {"score": score, "sample_metadata": {"gold": "1", "question": "1 + 0?"}},
    }
    file.write_text(json.dumps(review) + "\n", encoding="utf-8")
    with pytest.raises(Refused, match=r"another version of the kit.*run finr1 eval again"):
        read_reviews(file)
