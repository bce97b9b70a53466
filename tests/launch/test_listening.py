"""Whether somebody answers at an address."""

from __future__ import annotations

import pytest
from speaker import NO_HTTP, saying

from launch import listening


@pytest.mark.parametrize(
    ("said", "answers"),
    [(NO_HTTP, False), (b"", False), (b"HTTP/1.1 503 Down\r\n\r\n", False), (b"HTTP/1.1 200 OK\r\n\r\n", True)],
)
def test_only_a_200_is_an_answer(said: bytes, answers: bool) -> None:
    with saying(said) as url:
        assert listening.answers(url) is answers
