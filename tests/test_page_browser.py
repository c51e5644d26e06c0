"""The hands on a page, in headless Chromium: ``pytest -m browser``, which needs one."""

import os
from pathlib import Path

import numpy as np
import pytest
from pages import EVIL, X, Y, many, xor

import graphnn as gn

pytestmark = pytest.mark.browser


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
