"""Which character comes next? Networks with a memory against counting.

The text is the reference manual that every Python carries in ``pydoc_data.topics``; one topic in
ten is held out. A network reads a character, says how likely each next one is, and is scored by the
bits it needs for a character of the held-out topics, -log₂ p on average, read as one long sequence.
The baseline counts: an n-gram model with Witten and Bell's smoothing knows how often each character
followed the last n - 1. Elman, *Finding Structure in Time* (1990); Witten, Bell (IEEE Transactions
on Information Theory 37, 1991); Jurafsky, Martin, *Speech and Language Processing*, ch. 3.
GRAPHNN_QUICK=1 takes the Zen of Python and a few epochs instead.
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
STEPS, WIDTH, EPOCHS = (16, 32, 20) if quick else (64, 256, 12)


def texts():
    """What is learned, and what is held out."""
    if quick:
        with contextlib.redirect_stdout(io.StringIO()):
            import this  # noqa: PLC0415 - it prints itself
        zen = codecs.decode(this.s, "rot13")
        return zen[:700], zen[700:]
    names = sorted(topics)
    held = names[5::10]
    return "".join(topics[n] for n in names if n not in held), "".join(topics[n] for n in held)


known, unknown = texts()
alphabet = sorted(set(known + unknown))
number = {character: i for i, character in enumerate(alphabet)}


def encoded(text):
    return np.array([number[character] for character in text])


class NGrams:
    """p(c | last n - 1): counts, mixed with those of shorter contexts (Witten, Bell, eq. for C)."""

    def __init__(self, n, text):
        self.n, self.counts = n, [defaultdict(Counter) for _ in range(n)]
        for i, character in enumerate(text):
            for k in range(min(n, i + 1)):
                self.counts[k][text[i - k : i]][character] += 1

    def probability(self, context, character):
        """Of one character behind a context."""
        p = 1 / len(alphabet)
        for k in range(self.n):
            seen = self.counts[k].get(context[len(context) - k :]) if k <= len(context) else None
            if seen:
                total, kinds = seen.total(), len(seen)
                p = (seen[character] + kinds * p) / (total + kinds)
        return p

    def bits(self, text):
        """-log₂ p a character."""
        pairs = ((text[max(0, i - self.n) : i], text[i]) for i in range(1, len(text)))
        return -sum(math.log2(self.probability(*pair)) for pair in pairs) / (len(text) - 1)


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


def trained(kind):
    """A network that has read the known text in pieces, and its model."""
    gn.set_seed(0)
    network = Reader(kind)
    x = gn.Input((None, "T"), dtype="int64", name="x")  # pieces in training, then one long text
    y = gn.Input((None, "T"), dtype="int64", name="y")
    logits, _ = network(x)
    model = gn.Model(x, logits)
    model.compile(optim.Adam(lr=3e-3), loss=gn.cross_entropy(logits, y))
    text = encoded(known)
    starts = np.arange(0, len(text) - STEPS - 1, STEPS)
    pieces = text[starts[:, None] + np.arange(STEPS + 1)]
    for lr in (3e-3, 1e-3):
        model.optimizer.lr = lr
        model.fit(pieces[:, :-1], pieces[:, 1:], epochs=EPOCHS // 2, batch_size=32, verbose=0)
    return network, model


def speaker(network, kind):
    """One step, compiled: a character and a state to scores and the next state."""
    character = gn.Input((1, 1), dtype="int64", name="character")
    parts = [gn.Input((1, 1, WIDTH), name=f"s{i}") for i in range(2 if kind is nn.LSTM else 1)]
    scores, state = network(character, tuple(parts) if kind is nn.LSTM else parts[0])
    after = list(state) if kind is nn.LSTM else [state]
    return gn.function([character, *parts], [scores, *after]), len(parts)


def sample(step, parts, start, length, temperature):
    """Text that goes on from a start; at temperature 0 the likeliest character each time."""
    rng, text = np.random.default_rng(0), start
    state = [np.zeros((1, 1, WIDTH), np.float32)] * parts
    for i in range(len(start) + length - 1):
        scores, *state = step([[number[text[i]]]], *state)
        if i >= len(start) - 1:
            z = scores[0, 0].astype("f8")
            if temperature:
                p = np.exp((z - z.max()) / temperature)
                text += alphabet[rng.choice(len(alphabet), p=p / p.sum())]
            else:
                text += alphabet[z.argmax()]
    return text


table = Table("model", title=f"{len(known):,} characters read, {len(unknown):,} held out")
for name in ("parameters", "bits a character"):
    table.add_column(name, justify="right")
bits = {"uniform": math.log2(len(alphabet))}
table.add_row("all characters alike", "0", f"{bits['uniform']:.3f}")
for n in (1, 2, 3, 4, 6, 8):
    grams = NGrams(n, known)
    bits[n] = grams.bits(unknown)
    size = sum(len(followers) for counts in grams.counts for followers in counts.values())
    table.add_row(f"{n}-grams", f"{size:,}", f"{bits[n]:.3f}")

samples = []
held = encoded(unknown)
for kind in (nn.RNN, nn.LSTM):
    network, model = trained(kind)
    score = model.evaluate(held[None, :-1], held[None, 1:])["loss"] / math.log(2)
    bits[kind.__name__] = score
    size = sum(p.size for p in network.state_dict().values())
    table.add_row(f"{kind.__name__}, {WIDTH} units", f"{size:,}", f"{score:.3f}")
    step, parts = speaker(network, kind)
    start = "Beautiful" if quick else "The "
    for temperature in (0, 0.7):
        found = sample(step, parts, start, 40 if quick else 240, temperature)
        samples.append((f"{kind.__name__}, temperature {temperature}", found))
Console().print(table)
for title, text in samples:
    print(f"--- {title}\n{text}")

best = min(bits[n] for n in (1, 2, 3, 4, 6, 8))
print(f"Python {sys.version.split()[0]}: the best n-grams {best:.3f}, the LSTM {bits['LSTM']:.3f}")
assert best < bits[1] < bits["uniform"]
assert bits["LSTM"] < bits[1]
if not quick:
    assert bits["LSTM"] < bits["RNN"]
