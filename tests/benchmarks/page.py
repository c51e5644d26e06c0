"""How long a page of 5,000 ops takes to be made, to open in Chromium, and to step.

pip install -e '.[browser]' && python tests/benchmarks/page.py --repeats 5
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

import graphnn as gn

STEP = "(() => { const t = performance.now(); graphnn.byId('next').click(); return performance.now() - t; })()"


def network(layers: int) -> gn.Node:
    """Layers of two ops, in twelve blocks; the reverse pass has twice as many."""
    h = gn.Input((None, 8), name="x")
    for layer in range(layers):
        with gn.scope(f"block{layer * 12 // layers}.l{layer}"):
            h = gn.tanh(h * gn.Parameter([1.0] * 8, name="w"))
    return gn.mean(h)


def opened(browser: Browser, file: Path) -> tuple[float, float, int]:
    """Seconds from the start of loading until keys work, seconds of a step, and the ops shown."""
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.goto(file.as_uri())
    ready = page.evaluate("graphnn.ready") / 1000
    step = statistics.median(page.evaluate(STEP) for _ in range(10)) / 1000
    ops = page.evaluate("graphnn.graph.moments.length")
    page.close()
    return ready, step, ops


def main() -> None:
    """Print one line: medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=850)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        file = Path(folder) / "page.html"
        start = time.perf_counter()
        gn.render(network(options.layers), file)
        made = time.perf_counter() - start
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        runs = [opened(browser, file) for _ in range(options.repeats)]
        browser.close()
        size = file.stat().st_size / 1e6
    ready, step = (statistics.median(run[i] for run in runs) for i in (0, 1))
    print(
        f"{runs[0][2]} ops: made in {made:.2f} s, {size:.2f} MB, interactive {ready:.2f} s after the "
        f"start of loading, a step {1000 * step:.0f} ms"
    )


if __name__ == "__main__":
    main()
