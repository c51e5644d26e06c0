"""What all tests share: one cache of kernels, repeatable random numbers, the registry as shipped."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# Before graphnn is imported: one cache for all tests, never the user's own.
if "GRAPHNN_CACHE_DIR" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="graphnn-kernels-", ignore_cleanup_errors=True)
    os.environ["GRAPHNN_CACHE_DIR"] = _folder.name

import graphnn as gn
from graphnn.backends.cpu import executor

# Compiling takes longer than hypothesis likes, and only the first time; runs are repeatable.
settings.register_profile(
    "graphnn",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("graphnn")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden/*")


@pytest.fixture
def golden(request):
    """Compares a text with a file of tests/golden; ``pytest --update-golden`` rewrites the file."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.write_text(text + "\n", encoding="utf-8")
        assert text + "\n" == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240607)


@pytest.fixture(autouse=True)
def _leave_no_settings_behind():
    """Threads and seed are global: each test starts with the defaults."""
    gn.set_num_threads(None)
    gn.set_seed(0)
    yield
    gn.set_num_threads(None)


@pytest.fixture
def many_lanes(monkeypatch):
    """However small: every plan is split into three lanes, and runs on as many threads as are set."""
    monkeypatch.setattr(executor, "SPLIT_SECONDS", -1.0)
    monkeypatch.setattr(executor, "THREAD_SECONDS", -1.0)
    monkeypatch.setattr(executor, "machine_lanes", lambda: 3)


@pytest.fixture
def on_each_number_of_threads(many_lanes):
    """Calls a function on 1, 2 and 3 threads, and asserts that the results are the same bits."""

    def run(call):
        found = []
        for count in (1, 2, 3):
            gn.set_num_threads(count)
            result = call()
            found.append(result if isinstance(result, list) else [result])
        for count, other in zip((2, 3), found[1:], strict=True):
            for place, (a, b) in enumerate(zip(found[0], other, strict=True)):
                same = a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
                assert same, f"output {place}: {count} threads give other bits than 1"
        return found[0]

    return run


# Pages in headless Chromium, for the tests that are marked `browser`.


@pytest.fixture(scope="module")
def browser():
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    assert found, "pytest -m browser needs a Chromium; on Debian: apt-get install chromium"
    import playwright.sync_api as api  # pip install 'graphnn[browser]'

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with api.sync_playwright() as driver:
            opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
            yield opened
            opened.close()


@pytest.fixture
def visit(browser, tmp_path, request):
    """Opens a target's page; its end checks that nothing went wrong in it."""
    troubles, pages = [], []

    def visit(
        target, link="", size=(1600, 1000), scheme="light", motion="no-preference", **options
    ):
        made = isinstance(target, Path)
        file = target if made else gn.render(target, tmp_path / "page.html", **options)
        view = {"width": size[0], "height": size[1]}
        page = browser.new_page(viewport=view, color_scheme=scheme, reduced_motion=motion)
        page.on(
            "console", lambda m: troubles.append(m.text) if m.type in ("error", "warning") else 0
        )
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: (troubles.append("a dialog"), dialog.dismiss()))
        page.goto(file.as_uri() + link)
        page.wait_for_selector(".box")
        pages.append(page)
        return page

    yield visit
    folder = Path(os.environ.get("GRAPHNN_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    for i, page in enumerate(pages):
        name = re.sub(r"\W+", "-", request.node.name)
        page.screenshot(path=f"{folder}/{name}-{i}.png")
        page.close()
    assert troubles == []
