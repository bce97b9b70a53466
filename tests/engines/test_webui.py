"""LLaMA-Factory's web UI in a real browser: from the kit's list of sets to a finished training of two steps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from browser import browser_page, keep
from command import FINR1
from places import free_port
from playwright.sync_api import expect

from launch.listening import answers
from launch.paths import KIT


@pytest.fixture
def webui(tmp_path: Path):
    """The real command on a home with two exported sets; its address and its process."""
    registry = json.loads((KIT / "dataset_info.json").read_bytes())
    shutil.copytree(KIT / "datasets" / "demo", tmp_path / "datasets" / "demo")
    sets = {"demo_sft": registry["demo_sft"], "demo_again_sft": registry["demo_sft"]}
    (tmp_path / "dataset_info.json").write_text(json.dumps(sets), encoding="ascii")
    port = free_port()
    env = {**os.environ, "FINR1_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen([FINR1, "webui", "--port", str(port)], env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 180
            while not answers(f"http://127.0.0.1:{port}/"):
                assert process.poll() is None and time.monotonic() < deadline, "the web UI did not come up"
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def test_from_a_click_to_a_finished_training(webui, tiny_model: Path, tmp_path: Path) -> None:
    url, process = webui
    with browser_page() as page:
        page.goto(url)

        def choose(label: str, value: str) -> None:
            box = page.get_by_label(label, exact=True).first
            box.click()
            box.fill(value)
            page.get_by_role("option", name=value, exact=True).first.click()

        def write(label: str, value: str) -> None:
            box = page.get_by_label(label).first
            box.fill(value)
            box.blur()

        page.get_by_label("Model name", exact=True).wait_for()  # the labels come by script
        choose("Model name", "Custom")
        choose("Finetuning method", "full")
        choose("Chat template", "chatml")
        write("Model path", str(tiny_model))
        expect(page.get_by_label("Data dir").first).to_have_value(".")

        sets = page.get_by_label("Dataset", exact=True).first
        sets.click()
        page.get_by_role("option", name="demo_sft", exact=True).wait_for()
        listed = page.get_by_role("option").all_inner_texts()
        assert {name.split()[-1] for name in listed} == {"demo_sft", "demo_again_sft"}
        page.get_by_role("option", name="demo_sft", exact=True).click()
        sets.press("Escape")

        page.get_by_role("button", name="Preview dataset").first.click()
        page.get_by_role("button", name="Close").first.wait_for()
        first = json.loads((tmp_path / "datasets/demo/sft/train.jsonl").read_text("utf-8").splitlines()[0])
        page.get_by_text(first["id"]).first.wait_for()
        keep(page, "webui_preview")
        page.get_by_role("button", name="Close").first.click()

        choose("Compute type", "fp32")
        write("Epochs", "1.0")
        write("Max samples", "4")
        write("number input for Batch size", "1")
        write("number input for Gradient accumulation", "2")  # 4 rows / (1 x 2) = 2 updates
        choose_free(page, "Output dir", "two_steps")
        page.get_by_role("button", name="Preview command").first.click()
        command = page.get_by_text("llamafactory-cli train").first
        command.wait_for()
        shown = command.inner_text()
        assert "demo_sft" in shown and "--dataset_dir ." in shown and "trust_remote_code True" not in shown

        page.get_by_role("button", name="Start", exact=True).first.click()
        page.get_by_text("Finished.").first.wait_for(timeout=240_000)
        keep(page, "webui_finished")
    trained = tmp_path / "saves" / "Custom" / "full" / "two_steps"
    assert json.loads((trained / "trainer_state.json").read_text("utf-8"))["global_step"] == 2
    assert (trained / "model.safetensors").is_file()

    process.terminate()  # as a supervisor would; Ctrl-C ends it the same way
    assert process.wait(60) == 128 + signal.SIGTERM
    assert not answers(f"{url}/")


def choose_free(page, label: str, value: str) -> None:
    """Type a new value into a dropdown that takes any."""
    box = page.get_by_label(label, exact=True).first
    box.click()
    box.fill(value)
    box.press("Enter")
