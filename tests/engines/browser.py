"""Debian's headless Chromium, driven by Playwright, for the engines that people use through a page."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from launch.paths import KIT

SHOTS = KIT / "runs" / "screenshots"
"""Where the tests leave pictures for people to look at (not tracked)."""

_PACKAGES = ("chromium", "fonts-wqy-microhei")  # the second has Chinese characters


def chromium() -> str:
    """The browser's path; Debian's package is installed where that is possible, else the test is skipped."""
    found = shutil.which("chromium")
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *_PACKAGES]):
            subprocess.run(["apt-get", *words], check=True, env=quiet, capture_output=True, timeout=600)
        found = shutil.which("chromium")
    if not found:
        pytest.skip("no Chromium here: apt-get install chromium fonts-wqy-microhei")
    return found


@contextmanager
def browser_page(width: int = 1400, height: int = 1000) -> Iterator[Page]:
    """A page of a browser with an empty profile."""
    with sync_playwright() as playwright:
        # A container's root may not make the sandbox; the pages are our own, on 127.0.0.1.
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(60_000)
            expect.set_options(timeout=60_000)
            yield page
        finally:
            browser.close()


def keep(page: Page, name: str) -> Path:
    """Leave a picture of the whole page."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    path = SHOTS / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    return path
