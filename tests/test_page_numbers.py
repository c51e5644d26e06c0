"""What a page shows of a graph, in headless Chromium: ``pytest -m browser``, which needs one."""

import re

import numpy as np
import pytest
from pages import X, Y, xor

import graphnn as gn

pytestmark = pytest.mark.browser


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
    of = "op => [...graphnn.view.units.values()].find(u => u.room && u.kind === 'slot' && u.name === op).id"
    saved = page.evaluate(of, "tanh")  # what the way back reads of the way there is no gradient
    assert page.evaluate("id => graphnn.view.edges.filter(e => e.source === id).map(e => e.kind)",
                         saved) == ["saved"]  # fmt: skip
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
    assert page.locator("#turning").is_hidden()


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
    assert re.match(r"stop_gradient at .*test_page_numbers\.py:\d+: ", told)
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


@pytest.mark.parametrize("target", ["xor", "loop", "residual"])
def test_edges_go_around_boxes(visit, target):
    if target == "xor":
        page = visit(gn.capture(xor(), {"x": X, "y": Y}), "#step=3")
    elif target == "loop":
        page = visit(recurrent()[0])
        page.click("#expand-all")
    else:
        x, w = gn.Input((None, 3), name="x"), gn.Parameter(np.eye(3, dtype=np.float32), name="w")
        h = gn.tanh(x @ w)
        page = visit(gn.mean(gn.square(h + gn.relu(h @ w) - x)))
    crossed = page.evaluate(
        """graphnn.view.edges.flatMap((edge, i) => {
          const path = graphnn.paths[i], length = path.getTotalLength();
          return [...graphnn.view.units.values()].filter(u => !u.inside && u.id !== edge.source && u.id !== edge.target)
            .filter(u => Array.from({length: 200}, (_, k) => path.getPointAtLength(length * k / 199))
              .some(p => u.x < p.x && p.x < u.x + u.width && u.y < p.y && p.y < u.y + u.height))
            .map(u => [edge.kind, edge.source, edge.target, u.id].join(' ')); })"""
    )
    assert crossed == []
    boxes = page.evaluate(
        "[...graphnn.view.units.values()].filter(u => !u.inside).map(u => [u.x, u.y, u.width, u.height])"
    )
    for i, (x, y, w, h) in enumerate(boxes):
        for a, b, c, d in boxes[:i]:
            assert x + w <= a or a + c <= x or y + h <= b or b + d <= y
