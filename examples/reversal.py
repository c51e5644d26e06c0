"""An encoder-decoder transformer learns to reverse sequences, and is right to the last symbol.

Sources are 5 to 16 digits, padded to one length; targets the same digits backwards and a mark.
In training the decoder reads the right answer up to each place and says what follows. In the test
it reads what it said itself, the likeliest symbol each time, and answers without any mistake are
counted. Vaswani et al., *Attention is all you need* (2017); order as a task: Sutskever, Vinyals,
Le, *Sequence to Sequence Learning* (2014), who fed their sources backwards. GRAPHNN_QUICK=1 takes 2
to 4 digits and a small network.
"""

import os

import numpy as np
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn, optim

quick = bool(os.environ.get("GRAPHNN_QUICK"))
SHORTEST, LONGEST, SAMPLES, EPOCHS = (2, 4, 2_000, 15) if quick else (5, 16, 20_000, 10)
WIDTH, HEADS, LAYERS = (32, 2, 1) if quick else (64, 4, 2)
PAD, BEGIN, END, FIRST, SYMBOLS = 0, 1, 2, 3, 13  # digits are FIRST, ..., SYMBOLS - 1


def sequences(samples, seed):
    """Sources (samples, LONGEST), and targets with their end mark (samples, LONGEST + 1)."""
    rng = np.random.default_rng(seed)
    digits = rng.integers(FIRST, SYMBOLS, (samples, LONGEST))
    lengths = rng.integers(SHORTEST, LONGEST + 1, samples)
    place = np.arange(LONGEST)
    source = np.where(place < lengths[:, None], digits, PAD)
    target = np.zeros((samples, LONGEST + 1), np.int64)
    for row, sequence, length in zip(target, source, lengths, strict=True):
        row[:length], row[length] = sequence[:length][::-1], END
    return source, target


def shifted(target):
    """What the decoder has read before it says each symbol of the target."""
    return np.hstack([np.full((len(target), 1), BEGIN), target[:, :-1]])


class Reverser(nn.Module):
    """Symbols as vectors with their places, a transformer, scores for each symbol."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(SYMBOLS, WIDTH)
        self.place = nn.SinusoidalPositionalEncoding(WIDTH, max_len=LONGEST + 1)
        self.transformer = nn.Transformer(
            WIDTH, HEADS, LAYERS, LAYERS, dim_feedforward=2 * WIDTH, dropout=0.0, norm_first=True
        )
        self.scores = nn.Linear(WIDTH, SYMBOLS)

    def memory(self, source):
        """What the encoder makes of sources, (N, LONGEST, WIDTH)."""
        vectors = self.place(self.table(source))
        return self.transformer.encoder(vectors, src_key_padding_mask=gn.equal(source, PAD))

    def forward(self, source, read):
        """Scores (N, LONGEST + 1, SYMBOLS) of what follows each symbol read."""
        features = self.transformer.decoder(
            self.place(self.table(read)),
            self.memory(source),
            memory_key_padding_mask=gn.equal(source, PAD),
            tgt_is_causal=True,
        )
        return self.scores(features)

    def decoder(self, samples):
        """A compiled step: a symbol of each sequence to the scores of the next."""
        source = gn.Input((samples, LONGEST), dtype="int64", name="source")
        counts = gn.reshape(gn.not_equal(source, PAD), (samples, 1, 1, LONGEST))
        layers = self.transformer.decoder

        def step(token, position, state):
            counts, *kept = state
            vector = self.place(gn.expand_dims(self.table(token), 1), gn.expand_dims(position, 0))
            features, kept = layers.extend(vector, kept, position, counts)
            return self.scores(features[:, 0]), [counts, *kept]

        state = [counts, *layers.begin(self.memory(source), LONGEST + 1)]
        return gn.Decoder(step, state, samples, max_len=LONGEST + 1)


def matches(said, target):
    """Which answers are right up to and with the end mark."""
    said = np.pad(said, ((0, 0), (0, target.shape[1] - said.shape[1])), constant_values=END)
    return np.all((said == target) | (target == PAD), axis=1)


gn.set_seed(0)
source, target = sequences(SAMPLES, seed=0)
test = sequences(2_000, seed=1)
known = {row.tobytes() for row in source}
new = np.array([row.tobytes() not in known for row in test[0]])
test = tuple(part[new] for part in test)

x = gn.Input((None, LONGEST), dtype="int64", name="source")
read = gn.Input((None, LONGEST + 1), dtype="int64", name="read")
y = gn.Input((None, LONGEST + 1), dtype="int64", name="y")
network = Reverser()
logits = network(x, read)
model, decoder = gn.Model([x, read], logits), network.decoder(len(test[0]))
start = np.full((len(test[0]), 1), BEGIN)
model.compile(optim.Adam(lr=1e-3), loss=gn.cross_entropy(logits, y, ignore_index=PAD))
data = {"source": source, "read": shifted(target), "y": target}
table = Table("epoch", title=f"Reversing {SHORTEST} to {LONGEST} digits")
for name in ("loss", "exact matches of new sequences"):
    table.add_column(name, justify="right")
for part in range(5):
    history = model.fit(data, epochs=EPOCHS // 5, batch_size=64, verbose=0)
    said = decoder.greedy(start, LONGEST + 1, test[0], stop=END)[:, 1:]
    right = matches(said, test[1]).mean()
    table.add_row(str((part + 1) * EPOCHS // 5), f"{history['loss'][-1]:.4f}", f"{right:.2%}")
Console().print(table)
print(f"exact matches: {right:.2%} of {len(test[0]):,} new sequences")
assert right > (0.5 if quick else 0.99)
