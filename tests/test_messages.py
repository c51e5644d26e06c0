"""What people get wrong with sequences, and what they are told: each message names their line."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim

X = gn.Input((None, 7, 3), name="x")
Q, K = gn.Input((None, 5, 8), name="q"), gn.Input((None, 7, 8), name="k")
IDS = gn.Input((None, 7), "int64", name="ids")
TABLE = gn.Parameter(np.zeros((10, 4), np.float32), name="table")
PAIR = (gn.Input((1, None, 5)), gn.Input((1, None, 5)))
FLAT = (gn.Input((None, 5)), gn.Input((None, 5)))
XS, ZERO = gn.Input((7, 2, 3), name="xs"), gn.Constant(np.zeros((2, 3), np.float32), name="h0")
SRC, TGT = gn.Input((4, 7, 16), name="source"), gn.Input((5, 6, 16), name="target")

lstm_pair = "all that nn.LSTM returns: output, (h, c)"
lstm_fix = "Write output, _ = lstm(x), and give it output."


def result(kind=nn.LSTM):
    return kind(3, 5)(X)


def scanned(step, first=ZERO, **options):
    return gn.scan(step, first, XS, **options)


CASES = {
    # What a recurrent layer returns, given on as if it were one node.
    "module": (lambda: nn.Linear(5, 2)(result()), gn.GraphError, "nn.Linear takes a node for x"),
    "pair": (lambda: nn.Linear(5, 2)(result()), gn.GraphError, lstm_pair),
    "fix": (lambda: nn.Linear(5, 2)(result()), gn.GraphError, lstm_fix),
    "rnn": (
        lambda: nn.LayerNorm(5)(result(nn.RNN)),
        gn.GraphError,
        "(node, node), all that nn.RNN returns: output, state",
    ),
    "gru": (lambda: gn.softmax(result(nn.GRU)), gn.GraphError, "Write output, _ = gru(x)"),
    "mean": (lambda: gn.mean(result()), gn.GraphError, lstm_fix),
    "operator": (lambda: X + result(), gn.GraphError, "add takes nodes one by one; got (node"),
    "grad": (lambda: gn.grad(result(), X), gn.GraphError, lstm_pair),
    "layer": (lambda: nn.LSTM(5, 2)(result()), gn.GraphError, lstm_fix),
    "function": (lambda: gn.function(X, result()), gn.GraphError, "a graph is made of nodes"),
    "list": (lambda: gn.mean([Q, K]), gn.GraphError, "or join them: gn.stack(nodes)"),
    "none": (
        lambda: nn.Linear(5, 2)(None),
        gn.GraphError,
        "nn.Linear takes a node for x; got None",
    ),
    # States.
    "rnn state": (lambda: nn.RNN(3, 5)(X, PAIR), gn.GraphError, "state of RNN is one node, h"),
    "gru state": (lambda: nn.GRU(3, 5)(X, PAIR), gn.GraphError, "Give h alone: h, c = state"),
    "cell state": (
        lambda: nn.GRUCell(3, 5)(gn.Input((None, 3)), FLAT),
        gn.GraphError,
        "the state of GRUCell is one node, h; got 2 in a tuple",
    ),
    "lstm state": (
        lambda: nn.LSTM(3, 5)(X, PAIR[0]),
        gn.GraphError,
        "Give both: (h, gn.zeros_like",
    ),
    # Tables.
    "swapped": (
        lambda: gn.embedding(IDS, TABLE),
        gn.DTypeError,
        "which are indices and a weight.",
    ),
    "swap": (lambda: gn.embedding(IDS, TABLE), gn.DTypeError, "gn.embedding(table, ids)"),
    "floats": (
        lambda: nn.Embedding(10, 4)(X),
        gn.DTypeError,
        "embedding needs indices of int64 or int32; got float32 (None, 7, 3) for 'x'",
    ),
    # Transformers.
    "batches": (
        lambda: nn.Transformer(16, 4, 1, 1, 32)(SRC, TGT),
        gn.ShapeError,
        "nn.Transformer needs one batch: (batch, length, features); got src (4, 7, 16), tgt (5, 6",
    ),
    "memory": (
        lambda: nn.TransformerDecoderLayer(16, 4, 32)(TGT, SRC),
        gn.ShapeError,
        "got tgt (5, 6, 16), memory (4, 7, 16)",
    ),
    "features": (
        lambda: nn.Transformer(8, 4, 1, 1, 32)(SRC, SRC),
        gn.ShapeError,
        "needs d_model=8 features on the last axis; got src (4, 7, 16), tgt (4, 7, 16)",
    ),
    "ranks": (
        lambda: nn.TransformerEncoderLayer(16, 4, 32)(gn.Input((2, 2, 2, 16))),
        gn.ShapeError,
        "needs (batch, length, 16), or (length, 16) of one sample; got src (2, 2, 2, 16)",
    ),
    "attention": (
        lambda: nn.MultiheadAttention(16, 4, batch_first=False)(SRC, TGT, TGT),
        gn.ShapeError,
        "needs one batch: (length, batch, features); got query (4, 7, 16), key (5, 6",
    ),
    "values": (
        lambda: nn.MultiheadAttention(8, 4)(Q, K, Q),
        gn.ShapeError,
        "needs as many values as keys; got (None, 7, 8) for 'k' and (None, 5, 8) for 'q'",
    ),
    "heads": (
        lambda: nn.Transformer(16, 3),
        gn.GraphError,
        "nn.Transformer needs d_model divisible by nhead; got 16 and 3",
    ),
    "heads of a layer": (
        lambda: nn.TransformerDecoderLayer(16, 3),
        gn.GraphError,
        "nn.TransformerDecoderLayer needs d_model divisible by nhead",
    ),
    "no whole head": (
        lambda: nn.TransformerEncoderLayer(16.0, 4),
        gn.GraphError,
        "needs whole numbers >= 1 for d_model and nhead; got 16.0 and 4",
    ),
    # Masks.
    "floats of another kind": (
        lambda: gn.scaled_dot_product_attention(Q, K, K, np.zeros((5, 7))),
        gn.DTypeError,
        "got float64 (5, 7) for 'constant'",
    ),
    "cast to the query's": (
        lambda: nn.MultiheadAttention(8, 2)(Q, K, K, attn_mask=np.zeros((5, 7))),
        gn.DTypeError,
        "gn.cast(mask, 'float32')",
    ),
    "cast to bools": (
        lambda: gn.scaled_dot_product_attention(Q, K, K, np.zeros((5, 7), int)),
        gn.DTypeError,
        "gn.cast(mask, 'bool')",
    ),
    "turned": (
        lambda: gn.scaled_dot_product_attention(Q, K, K, gn.Input((None, 7, 5), "bool")),
        gn.ShapeError,
        "It is (..., keys, queries): write gn.swapaxes(mask, -1, -2).",
    ),
    "turned for a layer": (
        lambda: nn.MultiheadAttention(8, 2)(Q, K, K, attn_mask=np.zeros((7, 5), bool)),
        gn.ShapeError,
        "write gn.swapaxes(mask, -1, -2).",
    ),
    # Flags.
    "causal": (
        lambda: gn.scaled_dot_product_attention(Q, Q, Q, is_causal="no"),
        gn.GraphError,
        "scaled_dot_product_attention: is_causal is True or False; got 'no'",
    ),
    "reverse": (
        lambda: scanned(lambda h, x: (h + x, None), reverse="yes"),
        gn.GraphError,
        "scan: reverse is True or False; got 'yes'",
    ),
    "keepdims": (lambda: gn.sum(Q, 1, 1), gn.GraphError, "sum: keepdims is True or False; got 1"),
    "setting": (lambda: nn.Linear(3, 2, bias=0), gn.GraphError, "nn.Linear: bias is True or Fal"),
    "call": (
        lambda: nn.MultiheadAttention(8, 2)(Q, Q, Q, is_causal=1),
        gn.GraphError,
        "nn.MultiheadAttention: is_causal is True or False; got 1",
    ),
    "optimizer": (lambda: optim.Adam(amsgrad="no"), gn.GraphError, "Adam: amsgrad is True or"),
    "common": (lambda: optim.SGD(0.1, maximize=1), gn.GraphError, "SGD: maximize is True or"),
    "phase": (
        lambda: gn.function(Q, Q, training="no"),
        gn.GraphError,
        "function: training is True or False; got 'no'",
    ),
    # Loops.
    "batch norm": (
        lambda: scanned(lambda h, x: (nn.BatchNorm1d(3)(h) + x, None)),
        gn.GraphError,
        "nn.BatchNorm1d (or gn.updating) moves running averages in training",
    ),
    "dtype": (
        lambda: scanned(lambda h, x: (gn.cast(h, "float64"), None)),
        gn.DTypeError,
        "keeps the dtype of the state: 'h0' begins as float32 (2, 3)",
    ),
    "step": (
        lambda: scanned(lambda h, x: (gn.cast(h, "float64"), None)),
        gn.DTypeError,
        "the step at test_messages.py:",
    ),
    "shape": (
        lambda: scanned(lambda h, x: (gn.concat([h, x], -1), None)),
        gn.ShapeError,
        "keeps the shape of the state: 'h0' begins as float32 (2, 3)",
    ),
    "form": (
        lambda: scanned(lambda h, x: ((h, h), None)),
        gn.GraphError,
        "which begins as node; the new state is (node, node)",
    ),
    "no pair": (
        lambda: scanned(lambda h, x: h),
        gn.GraphError,
        "returns (new state, y); it returned node",
    ),
    "no length": (
        lambda: gn.scan(lambda h, x: (h, None), ZERO, length=1.5),
        gn.GraphError,
        "the length of a scan is a whole number >= 0; got 1.5",
    ),
    "no layers": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32), 1.5),
        gn.GraphError,
        "num_layers is a whole number >= 1; got 1.5",
    ),
    "share": (lambda: nn.Dropout(1.5), gn.GraphError, "nn.Dropout needs 0 <= p < 1; got p=1.5"),
    "sizes": (lambda: nn.Linear(0, 2), gn.GraphError, "two whole numbers >= 1; got (0, 2)"),
}


@pytest.mark.parametrize("case", CASES)
def test_messages(case):
    call, error, said = CASES[case]
    with pytest.raises(error, match=re.escape(said)) as caught:
        call()
    assert "test_messages.py:" in str(caught.value)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
class TestLengths:
    def said(self, kind, what):
        return rf"nn\.{kind.__name__}: lengths {what}.*test_messages\.py"

    def test_dtype(self, kind):
        with pytest.raises(gn.DTypeError, match=self.said(kind, r"are whole.*got float32 \(2,\)")):
            kind(3, 5)(gn.Input((2, 7, 3)), lengths=[1.0, 2.0])

    def test_shape(self, kind):
        with pytest.raises(
            gn.ShapeError, match=self.said(kind, r"have shape \(None,\).*\(None, 1\)")
        ):
            kind(3, 5)(X, lengths=gn.Input((None, 1), "int64"))

    def test_too_long(self, kind):
        name = kind.__name__
        with pytest.raises(gn.DataError, match=rf"lengths\[1\] = 8 .*nn.{name}.* 0 <= length < 8"):
            kind(3, 5)(gn.Input((2, 7, 3)), lengths=np.array([7, 8]))


KEYWORDS = {
    "scan": (lambda: scanned(lambda h, x: (h, None), axis=1), "scan has no argument 'axis'; it t"),
    "dim": (lambda: gn.softmax(Q, dim=1), "softmax has no argument 'dim'.*Did you mean axis="),
    "mask": (lambda: gn.scaled_dot_product_attention(Q, Q, Q, mask=0), "Did you mean attn_mask="),
    "inplace": (lambda: gn.relu(Q, inplace=True), "relu has no argument 'inplace'.*Leave it out"),
    "grad": (lambda: gn.grad(Q, Q, create_graph=True), "gradients are nodes"),
    "eps": (lambda: gn.layer_norm(Q, (8,), epsilon=1), "Did you mean eps="),
    "logits": (lambda: gn.cross_entropy(Q, Q, from_logits=True), "cross_entropy takes logits"),
    "product": (lambda: gn.matmul(Q, K, transpose_b=True), r"gn.swapaxes\(b, -1, -2\)"),
    "leaf": (lambda: gn.Parameter(1.0, requires_grad=True), "Parameter has no .*trainable=False"),
    "constant": (lambda: gn.Constant(1.0, type="f"), "Constant has no argument 'type'; it takes"),
    "initial": (lambda: nn.init.normal((3,), stddev=1), "normal has no .*Did you mean std="),
    "keras": (lambda: nn.LSTM(3, 5, return_sequences=True), "output, state = layer"),
    "schedule": (lambda: optim.schedule.StepLR(0.1, steps=3), "StepLR has no argument 'steps'"),
    "clip": (lambda: optim.clip_grad_norm([Q], max=1), "clip_grad_norm has no argument 'max'"),
    "decoder": (lambda: gn.Decoder(print, [], batch_size=2), "Decoder has .*Did you mean batch="),
    "model": (lambda: gn.Model(Q, Q, loss="mse"), "Model has no argument 'loss'"),
}


@pytest.mark.parametrize("case", KEYWORDS)
def test_keywords(case):
    call, said = KEYWORDS[case]
    with pytest.raises(TypeError, match=said):
        call()


def test_what_is_taught_is_the_same_function_everywhere():
    for function in (gn.softmax, gn.scan, gn.grad, nn.init.normal):
        assert pickle.loads(pickle.dumps(function)) is function
        assert copy.deepcopy(function) is function


def test_truths_of_numpy_are_flags():
    assert gn.sum(Q, 1, np.bool_(True)).shape == (None, 1, 8)
    assert gn.function(Q, Q, training=None)(np.ones((1, 5, 8), np.float32)).shape == (1, 5, 8)
