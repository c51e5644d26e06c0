"""A training step over sequences in graphnn: one call of a `gn.function` with Adam's updates."""

import time

import workload

import graphnn as gn
from graphnn import nn, optim

STEPS = 10


def loss_and_parameters(kind, x, target):
    """What `workload.sequences` describes; dropout off, as in torch's peer."""
    if kind == "transformer":
        _, _, width, heads, layers = workload.SEQUENCES[kind]
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0)
        net = nn.TransformerEncoder(layer, layers)
        return gn.mse_loss(net(x), target), net.parameters()
    _, _, features, hidden, classes = workload.SEQUENCES[kind]
    net = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](features, hidden)
    head = nn.Linear(hidden, classes)
    # The last state is the last output; `output[:, -1]` would turn all of it batch-first before.
    _, state = net(x)
    h = state[0] if kind == "lstm" else state
    return gn.cross_entropy(head(h[-1]), target), [*net.parameters(), *head.parameters()]


def main():
    parser = workload.arguments(__doc__, warmup=1, repeats=5)
    parser.add_argument("--kind", choices=workload.SEQUENCES, required=True)
    options = parser.parse_args()
    gn.set_num_threads(options.threads)
    gn.set_seed(0)
    X, Y = workload.sequences(options.kind)
    x = gn.Input((None, *X.shape[1:]), name="x")
    y = gn.Input((None, *Y.shape[1:]), dtype=Y.dtype, name="y")
    loss, parameters = loss_and_parameters(options.kind, x, y)
    step = gn.function(
        [x, y], loss, updates=optim.Adam(lr=workload.ADAM_LR).updates(loss, parameters)
    )
    seconds = []
    for _ in range(options.warmup + options.repeats):
        start = time.perf_counter()
        for _ in range(STEPS):
            last = step(X, Y)
        seconds.append((time.perf_counter() - start) / STEPS)

    workload.report(
        peer="graphnn",
        task=options.kind,
        threads=options.threads,
        unit="step",
        seconds=seconds[options.warmup :],
        loss=float(last),
        packages=["graphnn", "numba"],
    )


if __name__ == "__main__":
    main()
