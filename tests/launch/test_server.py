"""What a serving recipe is refused for, before any model is loaded."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from launch.server import ServeSettings, serving
from reward_plugins.errors import Refused


def refused(settings: ServeSettings) -> str:
    with pytest.raises(Refused) as refusal, serving(settings):
        pass
    return str(refusal.value)


def test_a_port_in_use_is_named(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} on 127.0.0.1 is in use" in refused(ServeSettings(model="x/y", port=port))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_an_open_address_demands_a_key(home: Path, host: str) -> None:
    assert "can be reached from other machines" in refused(ServeSettings(model="x/y", host=host))


def test_a_folder_that_is_no_model_is_refused(home: Path) -> None:
    (home / "empty").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "is no model folder" in refused(ServeSettings(model="empty", port=port))
    assert "no model at" in refused(ServeSettings(model="runs/none", port=port))
