"""The page of a graph, as a file; test_page_numbers.py and test_page_browser.py open it."""

import itertools
import json
import re
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from pages import EVIL, X, Y, many, xor

import graphnn as gn
from graphnn.render.page.page import SCRIPTS, asset


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


def test_the_example_of_the_manual_runs(tmp_path, monkeypatch):
    manual = Path(__file__).parents[1].joinpath("docs", "page.md").read_text("utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", manual, re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs/page.md", "exec"), {})
    assert len(document_in(tmp_path / "backprop.html")["captured"]["snapshots"]) == 5


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


# Colours, as people with red-green blindness see them: the matrices of Machado, Oliveira and
# Fernandes (2009, "A Physiologically-based Model for Simulation of Color Vision Deficiency"),
# severity 1, on linear RGB; distances are those of CIE 1976 in L*a*b*.

EYES = {
    "usual": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
}  # fmt: skip
LINES = ("forward", "reverse", "update", "given", "now", "bad", "soft")
FILLS = ("forward-fill", "reverse-fill", "update-fill", "given-fill", "zero")
TEXTS = [("forward", "forward-fill"), ("forward", "given-fill"), ("reverse", "reverse-fill"),
         ("reverse", "given-fill"), ("update", "update-fill"), ("bad", "paper"),
         *(("soft", fill) for fill in FILLS), *(("ink", fill) for fill in FILLS),
         *((text, room) for text in ("ink", "soft", "forward", "reverse", "update")
           for room in ("paper", "panel"))]  # fmt: skip


def colours(theme):
    block = asset("page.css").split("* {")[0].split(":root")[1 if theme == "light" else 2]
    return dict(re.findall(r"--([\w-]+):(#[0-9a-f]{6})", block))


def linear(colour):
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
              [0.0193339, 0.1191920, 0.9503041]]  # fmt: skip
    xyz = np.array(to_xyz) @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_distances_are_those_of_the_books():
    np.testing.assert_allclose(lab(linear("#ffffff")), [100, 0, 0], atol=0.01)
    np.testing.assert_allclose(lab(linear("#ff0000")), [53.24, 80.09, 67.20], atol=0.02)
    red, green = (EYES["deuteranopia"] @ linear(colour) for colour in ("#b05a5a", "#757a58"))
    assert np.linalg.norm(lab(red) - lab(green)) < 9  # who sees no green takes these for one


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("eyes", EYES)
def test_colours_are_told_apart_by_all_eyes(theme, eyes):
    known = colours(theme)
    for group, least in ((LINES, 11), (FILLS, 7)):
        seen = {name: lab(EYES[eyes] @ linear(known[name])) for name in group}
        for a, b in itertools.combinations(group, 2):
            assert np.linalg.norm(seen[a] - seen[b]) >= least, (a, b)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_the_contrast_that_readers_need(theme):
    known = colours(theme)
    for text, ground in TEXTS:  # WCAG 2, level AA
        light = sorted(linear(known[one]) @ [0.2126, 0.7152, 0.0722] for one in (text, ground))
        assert (light[1] + 0.05) / (light[0] + 0.05) >= 4.5, (text, ground)


def test_five_thousand_ops_have_less_than_five_megabytes(tmp_path):
    page = gn.render(many(), tmp_path / "many.html")
    steps = document_in(page)["graph"]["steps"]
    assert sum(len(step["nodes"]) for step in steps) >= 5000
    assert page.stat().st_size < 5_000_000


def test_all_that_the_page_is_made_of_is_in_the_package():
    folder = resources.files("graphnn.render.page").joinpath("assets")
    assert {one.name for one in folder.iterdir()} == {*SCRIPTS, "page.html", "page.css"}
