"""The page of a graph in headless Chromium: ``pytest -m browser``, which needs one."""

import os
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim

pytestmark = pytest.mark.browser

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


def many(layers=1020):
    """A graph that runs 5,000 ops, reverse pass included."""
    h = gn.Input((None, 8), name="x")
    for layer in range(layers):
        with gn.scope(f"block{layer * 12 // layers}.l{layer}"):
            h = gn.tanh(h * gn.Parameter([1.0] * 8, name="w"))
    return gn.mean(h)


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


def shown(page, within="#inspector .value"):
    """The elements of the values in a part of the page, by the names of the nodes."""
    texts = page.eval_on_selector_all(
        within,
        "all => all.map(v => [v.querySelector('.name').textContent,"
        " [...v.querySelectorAll('.matrix button')].map(b => b.title.split(': ')[1])])",
    )
    return {name: np.array(cells, float) for name, cells in texts}


def written(text):
    return float(text.replace("−", "-"))


def test_every_contribution_and_the_running_sum(visit):
    rng = np.random.default_rng(1)
    x = gn.Input((None, 3), name="x")
    w = gn.Parameter(rng.normal(size=(3, 3)).astype(np.float32), name="w")
    h = gn.tanh(x @ w)
    r = h + gn.sigmoid(h @ w) + h * h  # w is read twice, h three times
    seen = gn.capture(gn.mean(r * r), rng.normal(size=(2, 3)).astype(np.float32))
    page = visit(seen)
    sums = {
        page.evaluate("id => graphnn.graph.nodes.get(id).name", one): terms
        for one, terms in page.evaluate(
            "[...graphnn.graph.sums.values()].map(s => [s.node, s.terms.map("
            "id => graphnn.graph.nodes.get(id).name)])"
        )
    }
    assert sorted(map(len, sums.values()))[-1] >= 3
    assert len(sums) >= 2
    met = set()
    for _ in range(page.evaluate("graphnn.graph.moments.length")):
        page.keyboard.press("ArrowRight")
        name = page.evaluate("graphnn.graph.nodes.get(graphnn.selected).name")
        if name not in sums:
            continue
        met.add(name)
        terms = [seen[term].astype(np.float64).ravel() for term in sums[name]]
        for element in range(seen[name].size):
            page.click(f"#result .matrix button >> nth={element}")
            rows = page.eval_on_selector_all(
                "#contributions tr",
                "all => all.slice(1).map(r => [...r.cells].map(c => c.textContent))",
            )
            assert [row[0] for row in rows] == sums[name]
            told = np.array([[written(cell) for cell in row[1:]] for row in rows])
            wanted = [term[element] for term in terms]
            np.testing.assert_allclose(told[:, 0], wanted, rtol=1e-6)
            np.testing.assert_allclose(told[:, 1], np.cumsum(wanted), rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(told[-1, 1], seen[name].ravel()[element], rtol=2e-6)
    assert met == set(sums)


def recurrent(length=5):
    """h[t] = tanh(x[t] + h[t-1] w), and NumPy's values of all of it, both ways."""
    rng = np.random.default_rng(2)
    w = gn.Parameter(rng.normal(size=(3, 3)).astype(np.float32), name="w")
    x = gn.Input((length, 2, 3), name="x")
    last, _ = gn.scan(lambda h, xt: (gn.tanh(xt + h @ w),) * 2, np.zeros((2, 3), np.float32), x)
    data = rng.normal(size=(length, 2, 3)).astype(np.float32)
    h, after = np.zeros((2, 3)), []
    for t in range(length):
        h = np.tanh(data[t] + h @ w.value.astype(np.float64))
        after.append(h)
    blame, slopes = np.ones((2, 3)), []
    for t in reversed(range(length)):
        slopes.insert(0, blame * (1 - after[t] ** 2))
        blame = slopes[0] @ w.value.T.astype(np.float64)
    return gn.capture(gn.sum(last), data, mode="full"), after, slopes


def test_a_loop_is_opened_and_shows_each_of_its_steps(visit):
    seen, after, slopes = recurrent()
    page = visit(seen)
    page.click("#expand-all")
    assert page.locator(".box.room").count() == 2  # the loop, and the one that goes back
    assert page.locator(".edge.delay").count() == 2
    rooms = page.evaluate(
        "[...graphnn.view.units.values()].filter(u => u.room).every(u => {"
        " const r = graphnn.view.units.get(u.room); return r.x <= u.x && r.y <= u.y &&"
        " u.x + u.width <= r.x + r.width && u.y + u.height <= r.y + r.height; })"
    )
    assert rooms
    checked = 0
    for key, values in (("tanh", after), ("tanh_backward", slopes)):
        moment = page.evaluate(
            "op => graphnn.graph.moments.findIndex(m => { const n = graphnn.graph.nodes.get(m.node);"
            " return n.loop && n.op === op; }) + 1", key,
        )  # fmt: skip
        page.fill("#slider", str(moment))
        assert page.locator("#turning").is_visible()
        for t in range(5):
            page.fill("#turn", str(t))
            assert page.inner_text("#turn-at").startswith(f"t = {t} ")
            (found,) = shown(page, "#result").values()
            np.testing.assert_allclose(found, values[t].ravel(), rtol=2e-5, atol=1e-6)
            checked += 1
    assert checked == 10
    assert "turn=4" in page.evaluate("location.hash")


def test_a_loop_without_elements_says_so(visit):
    seen = gn.capture(gn.Graph(recurrent_loss()), np.ones((30, 40, 3), np.float32), mode="stats")
    page = visit(seen)
    page.fill("#slider", str(page.evaluate(
        "graphnn.graph.moments.findIndex(m => graphnn.graph.nodes.get(m.node).loop) + 1")))  # fmt: skip
    assert "all 30 steps of the loop together" in page.inner_text("#result")


def recurrent_loss():
    x = gn.Input((30, 40, 3), name="x")
    w = gn.Parameter(np.eye(3, dtype=np.float32), name="w")
    return gn.sum(
        gn.scan(lambda h, xt: (gn.tanh(xt + h @ w),) * 2, np.zeros((40, 3), np.float32), x)[0]
    )


def test_cuts_zeros_and_what_is_not_finite(visit):
    x = gn.Input((3,), name="x")
    w = gn.Parameter([1.0, 0.0, -1.0], name="w")
    v = gn.Parameter([1.0, 2.0, 3.0], name="v")
    still = gn.stop_gradient(v * 2.0)
    loss = gn.sum(gn.log(w * x)) + gn.sum(gn.relu(-v * v)) + gn.sum(v * still)
    page = visit(loss, capture=[np.float32([1, 2, 3])])
    assert page.locator(".cut").count() == 1
    told = page.locator(".cut title").text_content()
    assert re.match(r"stop_gradient at .*test_page_browser\.py:\d+: ", told)
    of = lambda tone: page.eval_on_selector_all(  # noqa: E731
        f".box.{tone}", "all => all.map(b => graphnn.graph.nodes.get(b.dataset.unit)?.op)")  # fmt: skip
    assert "log" in of("lost")
    assert "relu_backward" in of("zero")
    fill = "el => getComputedStyle(el.firstElementChild).fill"
    assert "hatched" in page.eval_on_selector(".box.lost", fill)
    assert page.eval_on_selector(".box.zero", fill) == "rgb(207, 212, 218)"
    label = page.get_attribute(".box.lost >> nth=0", "aria-label")
    assert "NaN or infinite" in label
    assert "stop_gradient" in page.inner_text("#legend")


def test_edges_go_around_boxes(visit):
    page = visit(gn.capture(xor(), {"x": X, "y": Y}), "#step=3")
    crossed = page.evaluate(
        """graphnn.view.edges.flatMap((edge, i) => {
          const path = graphnn.paths[i], length = path.getTotalLength();
          return [...graphnn.view.units.values()].filter(u => u.id !== edge.source && u.id !== edge.target)
            .filter(u => Array.from({length: 200}, (_, k) => path.getPointAtLength(length * k / 199))
              .some(p => u.x < p.x && p.x < u.x + u.width && u.y < p.y && p.y < u.y + u.height))
            .map(u => [edge.kind, edge.source, edge.target, u.id].join(' ')); })"""
    )
    assert crossed == []
    boxes = page.evaluate(
        "[...graphnn.view.units.values()].map(u => [u.x, u.y, u.width, u.height])"
    )
    for i, (x, y, w, h) in enumerate(boxes):
        for a, b, c, d in boxes[:i]:
            assert x + w <= a or a + c <= x or y + h <= b or b + d <= y


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


def test_names_and_the_order_of_focus(visit):
    page = visit(xor())
    nameless = page.eval_on_selector_all(
        "button, input, [role=button], [tabindex='0']",
        "all => all.filter(e => !e.closest('[hidden]') && !(e.getAttribute('aria-label') || e.textContent.trim()"
        " || e.labels?.length || e.getAttribute('aria-labelledby'))).map(e => e.outerHTML)",
    )
    assert nameless == []
    order = []
    for _ in range(200):
        page.keyboard.press("Tab")
        where = page.evaluate(
            "document.activeElement.closest('header, #stage, #transport, #panels, #inspector')?.tagName + '#' +"
            " (document.activeElement.closest('header, #stage, #transport, #panels, #inspector')?.id || '')"
        )
        if where.startswith("undefined"):
            break
        if not order or order[-1] != where:
            order.append(where)
    assert order == [
        "HEADER#",
        "SECTION#stage",
        "NAV#transport",
        "SECTION#panels",
        "ASIDE#inspector",
    ]
    page.focus('[data-unit="n6"]')
    page.keyboard.press("Enter")
    assert page.evaluate("graphnn.selected") == "n6"
    assert page.get_attribute("#slider", "aria-valuetext").startswith("op 1 of")
    assert page.get_attribute("#tab-schedule", "aria-selected") == "true"
    assert page.get_attribute("#inspector", "aria-live") == "polite"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    page.focus("#fit")
    page.keyboard.press("Tab")
    assert page.evaluate(outline) == "solid"


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_reduced_motion(visit, motion):
    page = visit(xor(), motion=motion)
    moves = page.eval_on_selector(".box", "box => getComputedStyle(box).transitionDuration")
    assert (moves == "0s") == (motion == "reduce")


def test_deep_links(visit):
    page = visit(xor(), "#step=9")
    assert page.evaluate("graphnn.at") == 9
    page.keyboard.press("ArrowRight")
    assert page.evaluate("location.hash").startswith("#step=10&node=")
    page.evaluate("location.hash = '#step=3'")
    page.wait_for_timeout(200)  # the page's policy lets no polling script in
    assert page.evaluate("graphnn.at") == 3
    for odd in ("#step=99999", "#step=-1", "#step=x&node=%FF", "#node=nobody", "#turn=1e9&step=2"):
        page.evaluate("odd => { location.hash = odd }", odd)
        page.wait_for_timeout(50)
        assert 0 <= page.evaluate("graphnn.at") <= page.evaluate("graphnn.graph.moments.length")


def test_a_page_made_elsewhere(visit, tmp_path):
    """CI gives the page that the wheel made in a bare environment: GRAPHNN_PAGE names it."""
    made = os.environ.get("GRAPHNN_PAGE") or gn.render(xor(), tmp_path / "own.html")
    page = visit(Path(made).resolve())
    page.keyboard.press("End")
    last = page.evaluate("graphnn.graph.moments.length")
    assert last > 0
    assert page.inner_text("#where").startswith(f"op {last} of {last}")


@pytest.mark.slow
def test_five_thousand_ops(visit, tmp_path):
    page = visit(many())
    size = (tmp_path / "page.html").stat().st_size
    ready = page.evaluate("graphnn.ready")
    ops = page.evaluate("graphnn.graph.moments.length")
    took = page.evaluate("(() => { const t = performance.now(); graphnn.byId('next').click();"
                         " return performance.now() - t; })()")  # fmt: skip
    print(f"{ops} ops: {size / 1e6:.2f} MB, ready {ready:.0f} ms after load, a step {took:.0f} ms")
    assert ops >= 5000
    assert size < 5_000_000
    assert page.locator(".box").count() <= 150
