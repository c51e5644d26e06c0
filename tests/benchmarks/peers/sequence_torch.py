"""A training step over sequences in torch, eager, with the fused Adam."""

import time

import torch
import torch.nn.functional as F  # noqa: N812
import workload
from torch import nn

STEPS = 10


def network(kind):
    """A module that gives the loss: what `workload.sequences` describes, dropout off."""
    if kind == "transformer":
        _, _, width, heads, layers = workload.SEQUENCES[kind]
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True)
        net = nn.TransformerEncoder(layer, layers)
        return net, lambda x, y: F.mse_loss(net(x), y)
    _, _, features, hidden, classes = workload.SEQUENCES[kind]
    made = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](features, hidden, batch_first=True)
    net = nn.ModuleList([made, nn.Linear(hidden, classes)])
    return net, lambda x, y: F.cross_entropy(net[1](net[0](x)[0][:, -1]), y)


def main():
    parser = workload.arguments(__doc__, warmup=1, repeats=5)
    parser.add_argument("--kind", choices=workload.SEQUENCES, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    X, Y = map(torch.from_numpy, workload.sequences(options.kind))
    net, loss_of = network(options.kind)
    optimizer = torch.optim.Adam(net.parameters(), lr=workload.ADAM_LR, fused=True)
    seconds = []
    for _ in range(options.warmup + options.repeats):
        start = time.perf_counter()
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = loss_of(X, Y)
            loss.backward()
            optimizer.step()
            last = loss.item()
        seconds.append((time.perf_counter() - start) / STEPS)

    workload.report(
        peer="torch",
        task=options.kind,
        threads=torch.get_num_threads(),
        unit="step",
        seconds=seconds[options.warmup :],
        loss=last,
        packages=["torch"],
    )


if __name__ == "__main__":
    main()
