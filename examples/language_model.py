"""Which character comes next? Networks with a memory against counting.

The text is the reference manual that every Python carries in ``pydoc_data.topics``, each paragraph
once; one topic in ten is held out. A network reads a character, says how likely each next one is,
and is scored by the bits it needs for a character of the held-out topics, -log₂ p on average, read
as one long sequence. The baseline counts: an n-gram model with Witten and Bell's smoothing knows
how often each character followed the last n - 1. Elman, *Finding Structure in Time* (1990); Witten,
Bell (IEEE Transactions on Information Theory 37, 1991); Jurafsky, Martin, *Speech and Language
Processing*, ch. 3. GRAPHNN_QUICK=1 takes the Zen of Python, small networks, and few epochs instead.
"""

import codecs
import contextlib
import io
import math
import os
import sys
from collections import Counter, defaultdict
from pydoc_data.topics import topics

import numpy as np
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn, optim

quick = bool(os.environ.get("GRAPHNN_QUICK"))
STEPS, WIDTH, VECTOR, EPOCHS = (16, 32, 16, 20) if quick else (64, 256, 128, 12)
ORDERS = (1, 2, 3, 4, 6, 8)


def texts():
    """What is learned, and what is held out."""
    if quick:
        with contextlib.redirect_stdout(io.StringIO()):
            import this  # noqa: PLC0415 - it prints itself
        zen = codecs.decode(this.s, "rot13")
        return zen[:700], zen[700:]
    seen, parts = set(), ([], [])
    for place, name in enumerate(sorted(topics)):
        for paragraph in topics[name].split("\n\n"):
            if paragraph not in seen:  # topics share whole sections
                seen.add(paragraph)
                parts[place % 10 == 5].append(paragraph)
    return tuple("\n\n".join(part) for part in parts)


known, unknown = texts()
alphabet = sorted(set(known + unknown))
number = {character: i for i, character in enumerate(alphabet)}


def encoded(text):
    return np.array([number[character] for character in text])


class NGrams:
    """p(c | last k): counts, mixed with those of the next shorter context (Witten, Bell)."""

    def __init__(self, longest, text):
        self.counts = [defaultdict(Counter) for _ in range(longest)]
        for i, character in enumerate(text):
            for k in range(min(longest, i + 1)):
                self.counts[k][text[i - k : i]][character] += 1

    def size(self, n):
        """How many different k-grams up to n were counted."""
        return sum(len(seen) for counts in self.counts[:n] for seen in counts.values())

    def probability(self, n, context, character):
        """Of a character behind a context, of which the last n - 1 characters count."""
        p = 1 / len(alphabet)
        for k, counts in enumerate(self.counts[: min(n, len(context) + 1)]):
            if seen := counts.get(context[len(context) - k :]):
                total, kinds = seen.total(), len(seen)
                p = (seen[character] + kinds * p) / (total + kinds)
        return p

    def bits(self, n, text):
        """-log₂ p a character."""
        pairs = ((text[max(0, i - n) : i], text[i]) for i in range(1, len(text)))
        return -sum(math.log2(self.probability(n, *pair)) for pair in pairs) / (len(text) - 1)


class Reader(nn.Module):
    """A vector for each character, a recurrent layer, a score for each next character."""

    def __init__(self, kind):
        super().__init__()
        self.table, self.layer = nn.Embedding(len(alphabet), 32), kind(32, WIDTH)
        self.scores = nn.Linear(WIDTH, len(alphabet))

    def forward(self, characters, state=None):
        """Scores (N, T, alphabet) of what follows (N, T) characters, and the last state."""
        output, state = self.layer(self.table(characters), state)
        return self.scores(output), state


class GPT(nn.Module):
    """Characters and their places as vectors, causal attention, a score for each next character."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(len(alphabet), VECTOR)
        self.place = nn.LearnedPositionalEncoding(VECTOR, max_len=STEPS)
        block = nn.TransformerEncoderLayer(
            VECTOR, 4, 4 * VECTOR, dropout=0.1, activation="gelu", norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, 2, nn.LayerNorm(VECTOR))
        self.scores = nn.Linear(VECTOR, len(alphabet))

    def forward(self, characters):
        """Scores (N, STEPS, alphabet) of what follows (N, STEPS) characters."""
        return self.scores(self.blocks(self.place(self.table(characters)), is_causal=True))


def pieces_of(text, stride):
    """STEPS characters and the one behind each, from every stride-th place."""
    starts = np.arange(0, len(text) - STEPS, stride)
    pieces = text[starts[:, None] + np.arange(STEPS + 1)]
    return pieces[:, :-1], pieces[:, 1:]


def trained(logits, x):
    """A model that has read the known text in pieces."""
    y = gn.Input(x.shape, dtype="int64", name="y")
    model = gn.Model(x, logits)
    model.compile(optim.Adam(lr=3e-3), loss=gn.cross_entropy(logits, y))
    for lr in (3e-3, 1e-3):
        model.optimizer.lr = lr
        model.fit(*pieces_of(encoded(known), STEPS), epochs=EPOCHS // 2, batch_size=32, verbose=0)
    return model


def bits_of(logits, labels):
    """-log₂ p a character, of scores (..., alphabet)."""
    z = logits - logits.max(axis=-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(log_p, labels[..., None], -1).mean() / math.log(2)


def recurrent(kind):
    """Bits a character of a recurrent network, its model, and a decoder that speaks for it."""
    gn.set_seed(0)
    network = Reader(kind)
    x = gn.Input((None, "T"), dtype="int64", name="x")  # pieces in training, then one long text
    model = trained(network(x)[0], x)
    held = encoded(unknown)[None]
    score = bits_of(model.predict(held[:, :-1]), held[:, 1:])

    def step(token, _position, state):
        before = tuple(state) if kind is nn.LSTM else state[0]
        scores, after = network(gn.expand_dims(token, 1), before)
        return scores[:, 0], list(after) if kind is nn.LSTM else [after]

    zeros = np.zeros((1, 1, WIDTH), np.float32)
    return score, model, gn.Decoder(step, [zeros] * (2 if kind is nn.LSTM else 1))


def gpt():
    """The same for a transformer, which sees the last STEPS characters at most."""
    gn.set_seed(0)
    network = GPT()
    x = gn.Input((None, STEPS), dtype="int64", name="x")
    model = trained(network(x), x)
    inputs, labels = pieces_of(encoded(unknown), STEPS // 2)
    logits, half = model.predict(inputs), STEPS // 2
    # A first piece counts whole, of the others what has at least STEPS / 2 characters before it.
    said = np.concatenate([logits[0, :half], logits[:, half:].reshape(-1, len(alphabet))])
    score = bits_of(said, np.concatenate([labels[0, :half], labels[:, half:].ravel()]))

    def step(token, position, state):
        vector = gn.expand_dims(network.table(token), 1)
        features = network.place(vector, gn.expand_dims(position, 0))
        y, state = network.blocks.extend(features, state, position)
        return network.scores(y[:, 0]), state

    empty = network.blocks.empty(1, longest=STEPS)
    return score, model, gn.Decoder(step, empty, max_len=STEPS)


table = Table("model", title=f"{len(known):,} characters read, {len(unknown):,} held out")
for name in ("numbers in it", "bits a character"):
    table.add_column(name, justify="right")
bits = {"uniform": math.log2(len(alphabet))}
table.add_row("all characters alike", "0", f"{bits['uniform']:.3f}")
grams = NGrams(max(ORDERS), known)
for n in ORDERS:
    bits[n] = grams.bits(n, unknown)
    table.add_row(f"{n}-grams", f"{grams.size(n):,}", f"{bits[n]:.3f}")

samples = []
start, length = "The ", STEPS - 4
for name, make in (
    ("RNN", lambda: recurrent(nn.RNN)),
    ("LSTM", lambda: recurrent(nn.LSTM)),
    ("GPT", gpt),
):
    bits[name], model, decoder = make()
    size = sum(p.size for p in model.state_dict().values())
    table.add_row(name, f"{size:,}", f"{bits[name]:.3f}")
    prompt = encoded(start)[None]
    for title, said in (
        ("likeliest", decoder.greedy(prompt, length)),
        ("temperature 0.7", decoder.sample(prompt, length, temperature=0.7, seed=0)),
    ):
        samples.append((f"{name}, {title}", "".join(alphabet[i] for i in said[0])))
Console().print(table)
for title, text in samples:
    print(f"--- {title}\n{text}")

best = min(bits[n] for n in ORDERS)
print(f"--- Python {sys.version.split()[0]}: best n-grams {best:.3f}, LSTM {bits['LSTM']:.3f}")
assert best < bits[1] < bits["uniform"]
assert all(bits[name] < bits["uniform"] for name in ("RNN", "LSTM", "GPT"))
if not quick:
    assert bits["LSTM"] < bits["RNN"]
