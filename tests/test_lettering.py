"""Lines of text in a picture say how long they are, so that no font lets them leave their box."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np

import graphnn as gn
from graphnn import nn
from graphnn.render.lettering import held, shortened
from graphnn.render.typography import width_of

SVG = "{http://www.w3.org/2000/svg}"


def test_a_line_is_as_long_as_in_helvetica():
    line = b'<text x="1" font-size="10.00" fill="#000">&lt;a&gt; &amp; b</text>'
    found = held(line).decode()
    length = float(re.search(r'textLength="([\d.]+)"', found)[1])
    assert abs(length - width_of("<a> & b", 10)) <= 0.05
    assert found.endswith(">&lt;a&gt; &amp; b</text>")


def test_what_is_no_text_stays_as_it_is():
    drawn = b'<g><path d="M0,0"/><a xlink:title="text font-size=3.125 id=node1"/></g>'
    assert held(drawn) == drawn


def test_spaces_are_kept_where_they_count():
    line = b'<text xml:space="preserve" x="1" font-size="9">%s</text>'
    kept = {text: b"preserve" in held(line % text) for text in (b"a b", b"a  b", b" a", b"a ")}
    assert kept == {b"a b": False, b"a  b": True, b" a": True, b"a ": True}


def test_what_says_nothing_is_not_written():
    drawn = (
        b'<!-- Title: a --><svg>\n<g id="graph0" class="graph">\n<!-- box1 -->\n'
        b'<g id="node1" class="node">\n<title>box1</title>\n<g id="a_node1"><a xlink:title="a&#45;b">\n'
        b'<path d="M1.26,-2.04"/>\n</a>\n</g>\n</g>\n</g>\n</svg>'
    )
    assert shortened(drawn) == (
        b'<!-- Title: a --><svg>\n<g id="graph0" class="graph" '
        b'font-family="Helvetica,Arial,Liberation Sans,Arimo,sans-serif">\n'
        b'<g class="node">\n<a xlink:title="a-b">\n<path d="M1.3,-2"/>\n</a>\n</g>\n</g>\n</svg>'
    )


def test_every_line_of_a_box_ends_inside_it(tmp_path):
    x = gn.Input((None, 784), name="x")
    net = nn.Sequential(nn.Linear(784, 30), nn.ReLU(), nn.Linear(30, 10), name="a_long_name")
    loss = gn.mean(net(x), name="with_a_name_that_is_long")
    gn.render(loss, tmp_path / "a.svg", capture=np.ones((2, 784), np.float32))
    boxes = 0
    for group in ET.parse(tmp_path / "a.svg").iter(f"{SVG}g"):
        if group.get("class") != "node":
            continue
        shapes = [*group.iter(f"{SVG}path"), *group.iter(f"{SVG}polygon")]
        drawn = " ".join(one.get("d") or one.get("points") for one in shapes)
        places = [float(place) for place in re.findall(r"(-?[\d.]+),-?[\d.]+", drawn)]
        if not places:  # the legend
            continue
        for line in group.iter(f"{SVG}text"):
            start = float(line.get("x"))
            assert line.get("lengthAdjust") == "spacingAndGlyphs"
            assert min(places) <= start
            assert start + float(line.get("textLength")) <= max(places)
        boxes += 1
    assert boxes > 8
