"""The page of a graph, as a file and in headless Chromium."""

import json
import os
import re
import shutil
import sys
import warnings

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.render.page.page import SCRIPTS, asset

EVIL = [
    "<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", "\"'><b id=injected>",
    "x" * 10_000, "🦜🧮", "\u202egnp.exe", "${alert(3)}", "constructor",
]  # fmt: skip


def xor():
    gn.set_seed(0)
    x, y = gn.Input((None, 2), name="x"), gn.Input((None, 1), name="y")
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    logits = net(x)
    model = gn.Model(inputs=x, outputs=logits)
    loss = gn.binary_cross_entropy_with_logits(logits, y)
    model.compile(optimizer=optim.SGD(lr=0.5), loss=loss)
    return model


X = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]])
Y = np.float32([[0], [1], [1], [0]])


def many(ops=5000):
    h = gn.Input((None, 8), name="x")
    for block in range(12):
        for layer in range(ops // 12 // 7):
            with gn.scope(f"block{block}.l{layer}"):
                h = gn.tanh(h * gn.Parameter([1.0] * 8, name="w"))
    return gn.mean(h)


def document_in(path):
    found = re.search(r'<script type="application/json" id="document">(.*?)</script>',
                      path.read_text("utf-8"), re.S)  # fmt: skip
    return json.loads(found[1])


# Without a browser.


def test_a_page_is_whole_and_the_same_on_every_run(tmp_path, capsys):
    pages = [gn.render(xor(), tmp_path / f"backprop{i}.html", capture=[X, Y]) for i in "ab"]
    first, second = (page.read_bytes() for page in pages)
    assert first.replace(b"backpropa", b"") == second.replace(b"backpropb", b"")
    assert not re.search(rb'(src|href)\s*=\s*["\']?(http|//)', first)
    assert b"default-src 'none'" in first
    assert re.search(
        r"backpropa\.html: \d+ MB|backpropa\.html: .* (kB|MB)", capsys.readouterr().err
    )
    values = document_in(pages[0])["captured"]["snapshots"][0]["values"]
    assert len(values) > 20


def test_names_cannot_leave_the_data(tmp_path):
    x = gn.Input((2,), name=EVIL[1])
    page = gn.render(gn.sum(x * x), tmp_path / "x.html").read_text("utf-8")
    assert "<img" not in page
    assert "</script><" not in page
    assert document_in(tmp_path / "x.html")["graph"]["nodes"][0]["name"] == EVIL[1]


def test_a_large_page_warns(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["graphnn.render.page.page"], "LARGE", 1000)
    with pytest.warns(gn.LargePageWarning, match="MB"):
        gn.render(xor(), tmp_path / "x.html")


def test_wrong_requests_teach(tmp_path):
    with pytest.raises(gn.GraphError, match="does not exist"):
        gn.render(xor(), tmp_path / "nowhere" / "x.html")
    with pytest.raises(gn.GraphError, match="passes is"):
        gn.render(xor(), tmp_path / "x.html", passes="sideways")
    with pytest.raises(gn.GraphError, match="mode is one of"):
        gn.Capture(mode="everything")
    with pytest.raises(gn.DataError, match="no samples"):
        xor().fit({"x": X, "y": Y}, verbose=0, callbacks=gn.Capture())
    with pytest.raises(gn.GraphError, match="nothing was captured"):
        gn.render(xor(), tmp_path / "x.html", capture=gn.Capture())


def test_every_script_has_one_purpose():
    for name in SCRIPTS:
        assert asset(name).startswith("// ")
        assert len(asset(name).splitlines()) <= 400


def test_finite_differences_agree_with_backprop():
    seen = gn.capture(xor(), {"x": X, "y": Y}, differences=True)
    values = seen.document.captured.snapshots[0].values
    measured = [one for one in values.values() if one.difference is not None]
    assert len(measured) >= 8
    for one in measured:
        np.testing.assert_allclose(one.difference, one.data, rtol=2e-3, atol=3e-6)


def test_capturing_does_not_move_a_training():
    plain, watched = xor(), xor()
    kept = {}
    spy = gn.callbacks.LambdaCallback(
        on_step_end=lambda step, logs: kept.update(
            {step: watched.parameters["0.weight"].value.copy()}
        ),
        every=4,
    )
    data = {"x": np.tile(X, (4, 1)), "y": np.tile(Y, (4, 1))}
    gn.set_seed(1)
    a = plain.fit(data, epochs=3, batch_size=4, verbose=0)
    gn.set_seed(1)
    seen = gn.Capture(every=4)
    b = watched.fit(data, epochs=3, batch_size=4, verbose=0, callbacks=spy, capture=seen)
    assert a["loss"] == b["loss"]
    snapshots = seen.document.captured.snapshots
    assert [one.step for one in snapshots] == [0, 4, 8, 12]
    weight = next(n.id for n in seen.document.graph.nodes if n.name == "0.weight")
    for one in snapshots[1:]:
        held = np.float32(one.values[weight].data).reshape(4, 2)
        np.testing.assert_array_equal(held, kept[one.step])


# In headless Chromium.


@pytest.fixture(scope="module")
def browser():
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if found is None:
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="pip install 'graphnn[browser]'")
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

    def visit(target, link="", size=(1600, 1000), scheme="light", **options):
        file = gn.render(target, tmp_path / "page.html", **options)
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
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
    folder = os.environ.get("GRAPHNN_SCREENSHOTS", tmp_path)
    for i, page in enumerate(pages):
        name = re.sub(r"\W+", "-", request.node.name)
        page.screenshot(path=f"{folder}/{name}-{i}.png")
        page.close()
    assert troubles == []


@pytest.mark.browser
def test_every_step_shows_the_computed_numbers(visit):
    seen = gn.capture(xor(), {"x": X, "y": Y}, differences=True)
    page = visit(seen)
    gradients = 0
    for at in range(1, page.evaluate("graphnn.graph.moments.length") + 1):
        page.keyboard.press("ArrowRight")
        name = page.evaluate("graphnn.graph.nodes.get(graphnn.selected).name")
        cells = page.eval_on_selector_all("#result .matrix button", "all => all.map(b => b.title)")
        shown = [float(cell.split(": ")[1]) for cell in cells]
        np.testing.assert_allclose(shown, seen[name].ravel(), rtol=5e-7, atol=0)
        assert f"op {at} of" in page.inner_text("#where")
        gradients += page.locator("#inspector .formula.backward").count() > 0
        if page.locator("#numbers").count():
            told = page.inner_text("#numbers").rsplit("= ", 1)[1].replace("−", "-")
            np.testing.assert_allclose(float(told), seen[name].ravel()[0], rtol=1e-6)
    assert gradients >= 8


@pytest.mark.browser
def test_keyboard(visit):
    page = visit(xor())
    last = page.evaluate("graphnn.graph.moments.length")
    at = lambda: page.evaluate("graphnn.at")  # noqa: E731
    for key, place in [("End", last), ("Home", 0), ("ArrowRight", 1), ("ArrowLeft", 0),
                       ("ArrowLeft", 0), ("Shift+ArrowRight", 1), ("Shift+ArrowRight", 2),
                       ("Shift+ArrowRight", 4), ("Shift+ArrowLeft", 2)]:  # fmt: skip
        page.keyboard.press(key)
        assert at() == place, key
    page.keyboard.press(" ")
    page.wait_for_timeout(1500)
    assert at() > 2
    page.keyboard.press(" ")
    page.keyboard.press("/")
    page.keyboard.type("tanh")
    assert page.inner_text("#hits") == "2 found"
    page.keyboard.press("Enter")
    assert page.evaluate("graphnn.graph.nodes.get(graphnn.selected).name") == "1.tanh"


@pytest.mark.browser
def test_collapse_search_and_toggles(visit):
    page = visit(xor())
    boxes = page.locator(".box").count()
    page.click("text.frame, .frame text >> nth=0")
    assert page.locator(".box").count() < boxes
    page.click("#collapse-all")
    assert page.locator(".box").count() <= 12
    page.fill("#search", "tanh")
    page.press("#search", "Enter")
    assert page.locator('[data-unit="n8"]').count() == 1
    page.click("#expand-all")
    assert page.locator(".box").count() == boxes
    page.uncheck("#show-saved")
    assert page.locator(".edge.saved").count() == 0
    page.uncheck("#show-updates")
    page.uncheck("#show-reverse")
    assert page.locator(".box").count() == 13  # two inputs, four parameters, seven ops
    page.click('[data-unit="n6"]')
    dim = page.eval_on_selector_all(".box.dim", "all => all.map(b => b.dataset.unit).sort()")
    assert dim == ["n1", "n3", "n4", "n5"]  # neither needed for the first product, nor needing it


@pytest.mark.browser
def test_links_panels_and_training_steps(visit):
    model, seen = xor(), gn.Capture(every=5)
    model.fit({"x": X, "y": Y}, epochs=20, batch_size=4, verbose=0, capture=seen)
    page = visit(model, "#step=9&node=1.tanh", size=(800, 1000), scheme="dark", capture=seen)
    assert page.evaluate("graphnn.graph.nodes.get(graphnn.selected).name") == "1.tanh"
    assert page.evaluate("document.documentElement.classList.contains('dark')")
    page.click("#tab-gradients")
    first = page.inner_text("#panel")
    page.fill("#snapshot", "4")
    assert page.inner_text("#snapshot-step") == "20"
    assert page.inner_text("#panel") != first
    page.click("#tab-memory")
    assert page.locator("#panel rect").count() > 5
    assert first.count("weight") == 2


@pytest.mark.browser
def test_evil_names_are_shown_and_never_run(visit):
    x = gn.Input((2,), name=EVIL[0])
    h = x
    for name in EVIL:
        with gn.scope(name.replace(".", "·")):
            h = gn.tanh(h * gn.Parameter([1.0, 2.0], name=name))
    page = visit(gn.sum(h), capture=[np.float32([1, 2])])
    for _ in range(page.evaluate("graphnn.graph.moments.length")):
        page.keyboard.press("ArrowRight")
    page.click("#collapse-all")
    page.fill("#search", "alert(1)")
    assert page.locator("#injected, img, #inspector script").count() == 0
    assert page.evaluate("document.scripts.length") == 2
    assert "<script>alert(1)" in page.evaluate("document.getElementById('picture').textContent")


@pytest.mark.browser
@pytest.mark.slow
def test_five_thousand_ops(visit, tmp_path):
    page = visit(many())
    size = (tmp_path / "page.html").stat().st_size
    ready = page.evaluate("performance.now()")
    ops = page.evaluate("graphnn.graph.nodes.size")
    took = page.evaluate("(() => { const t = performance.now(); graphnn.byId('next').click();"
                         " return performance.now() - t; })()")  # fmt: skip
    print(
        f"{ops} nodes: {size / 1e6:.2f} MB, ready {ready:.0f} ms after load, a step {took:.0f} ms"
    )
    assert ops >= 4000
    assert size < 5_000_000
    assert page.locator(".box").count() <= 150
