"""Mermaid, PDF, and what a notebook shows."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.errors import GraphError
from graphnn.render import html_of, notebook, render, static


def loss_of(name="w"):
    x = gn.Input((None, 2), name="x")
    with gn.scope("dense"):
        w = gn.Parameter(np.zeros((2, 1), np.float32), name=name)
        z = x @ w
    return gn.mean(gn.tanh(z) * z, name="loss")


# Mermaid.


def test_mermaid(tmp_path, golden):
    text = render(loss_of(), tmp_path / "tiny.mmd").read_text("utf-8")
    golden("render_joint.mmd", text.rstrip())
    lines = text.splitlines()
    assert lines[0] == "flowchart LR"
    assert sum(line.strip().startswith("subgraph ") for line in lines) == 3  # dense, reverse, dense
    assert sum(line.strip() == "end" for line in lines) == 3
    assert render(loss_of(), tmp_path / "tiny.mermaid").read_text("utf-8") == text


def test_mermaid_has_every_box_and_every_edge(tmp_path):
    target = loss_of()
    found = static._drawing(target, "joint", "op", "auto", True, None, "light")
    text = render(target, tmp_path / "tiny.mmd").read_text("utf-8")
    arrows = [line for line in text.splitlines() if any(a in line for a in ("-->", "-.->", "==>"))]
    assert len(arrows) == len(found.edges)
    for i, box in enumerate(found.boxes):
        assert f'"{"Σ" if box.kind == "sum" else box.title}' in text
        assert f" b{i}" in text


@pytest.mark.parametrize(
    "name", ['end"] --> x', "<script>alert(1)</script>", "`a` #quot; \\n", "subgraph", "日本語 😀"]
)
def test_any_name_is_text_in_mermaid(tmp_path, name):
    text = render(loss_of(name), tmp_path / "name.mmd").read_text("utf-8")
    (line,) = [one for one in text.splitlines() if one.strip().endswith('8 B"]')]
    inside = line[line.index('"') + 1 : line.rindex('"')]
    assert not set('"<>`\\') & set(inside.replace("<br>", ""))
    plain = inside.split("<br>")[0]
    read = re.sub(r"#(\d+);", lambda code: chr(int(code[1])), plain)
    assert read == (name if len(name) <= 24 else f"{name[:23]}…")


def test_mermaid_is_never_too_large_for_its_readers(tmp_path):
    x = gn.Input((None, 4, 8), name="x")
    loss = gn.mean(nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 12)(x))
    text = render(loss, tmp_path / "large.mmd").read_text("utf-8")
    assert len(text) < 50_000  # Mermaid refuses longer ones, and more than 500 edges
    assert sum(a in line for line in text.splitlines() for a in ("-->", "-.->", "==>")) < 500


# PDF.


def test_pdf(tmp_path):
    pytest.importorskip("typst", reason="needs graphnn[pdf]")
    first, second = (render(loss_of(), tmp_path / f"{i}.pdf").read_bytes() for i in "ab")
    assert first.startswith(b"%PDF-")
    assert first.rstrip().endswith(b"%%EOF")
    assert len(first) > 4000
    assert first == second


def test_pdf_without_typst(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(GraphError, match=r"pip install 'graphnn\[pdf\]'; or write an \.svg file"):
        render(loss_of(), tmp_path / "tiny.pdf")
    assert not [*tmp_path.iterdir()]


# Notebooks.


def svg_in(html):
    return ET.fromstring(html[html.index("<svg") : html.index("</svg>") + 6])


def texts(html):
    return [e.text for e in svg_in(html).iter() if e.tag.endswith("}text")]


def test_a_graph_shows_both_passes_in_a_notebook():
    html = gn.Graph(loss_of())._repr_html_()
    assert {"tanh", "matmul", "dense", "← gradients, in reverse"} <= set(texts(html))
    assert html == gn.Graph(loss_of())._repr_html_()
    assert "<script" not in html
    assert "http" not in html.replace("http://www.w3.org/", "")  # nothing is loaded


def test_a_graph_without_a_loss_shows_its_forward_pass():
    x = gn.Input((None, 2), name="x")
    shown = texts(gn.Graph(gn.relu(x))._repr_html_())
    assert "relu" in shown
    assert "← gradients, in reverse" not in shown


def test_functions_and_models_show_what_they_run():
    x, w = gn.Input((None, 2), name="x"), gn.Parameter(np.zeros((2, 1), np.float32), name="w")
    function = gn.function(x, gn.mean(x @ w))
    assert "matmul" in texts(function._repr_html_())
    model = gn.Model(x, nn.Linear(2, 3)(x))
    assert "Adam" not in texts(model._repr_html_())
    model.compile("adam", loss="cross_entropy")
    assert texts(model._repr_html_()).count("Adam") == 2


def test_large_graphs_are_not_drawn_unasked(monkeypatch):
    monkeypatch.setattr(notebook, "MOST_NODES", 3)
    html = html_of(gn.Graph(loss_of()))
    assert "<svg" not in html
    assert "nodes are not drawn unasked: gn.render(it, &#x27;graph.svg&#x27;)" in html


def test_without_graphviz_a_notebook_says_so(monkeypatch):
    monkeypatch.setattr(static, "_candidates", lambda: iter([None]))
    html = html_of(gn.Graph(loss_of()))
    assert "pip install graphviz-pure" in html
    assert "<svg" not in html
