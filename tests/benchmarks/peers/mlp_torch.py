"""One epoch of the MNIST network in torch, eager.

The data is one tensor and a batch is `index_select` of a permutation: faster than a DataLoader,
than `X[indices]`, and than shuffling the whole set first. Adam is `--adam fused` (the fastest),
`foreach`, or `default`: what a script gets that does not choose.
"""

import time

import torch
import torch.nn.functional as F  # noqa: N812
import workload
from torch import nn

ADAM = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def network():
    torch.manual_seed(0)
    inputs, first, second, classes = workload.LAYERS
    return nn.Sequential(
        nn.Linear(inputs, first),
        nn.ReLU(),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, classes),
    )


def train_epoch(loss_of_batch, optimizer, X, Y):
    """Return the epoch's mean loss; `loss_of_batch(x, y)` runs the network."""
    total = torch.zeros(())
    for rows in torch.randperm(len(X)).split(workload.BATCH):
        optimizer.zero_grad()
        loss = loss_of_batch(X.index_select(0, rows), Y.index_select(0, rows))
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(rows)
    return total.item() / len(X)


def measure(peer, options, compiled):
    torch.set_num_threads(options.threads)
    X, Y = (torch.from_numpy(array) for array in workload.mnist(synthetic=options.synthetic))
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=workload.ADAM_LR, **ADAM[options.adam])

    def loss_of_batch(x, y):
        return F.cross_entropy(net(x), y)

    step = torch.compile(loss_of_batch, dynamic=False) if compiled else loss_of_batch
    for _ in range(options.warmup):
        train_epoch(step, optimizer, X, Y)
    seconds = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        train_epoch(step, optimizer, X, Y)
        seconds.append(time.perf_counter() - start)

    with torch.no_grad():
        logits = net(X).numpy()
    workload.report(
        peer=peer,
        task="mlp",
        threads=torch.get_num_threads(),
        unit="epoch",
        seconds=seconds,
        loss=workload.cross_entropy(logits, Y.numpy()),
        packages=["torch"],
        adam=options.adam,
    )


def options(description):
    parser = workload.arguments(description, warmup=1, repeats=5)
    parser.add_argument("--adam", choices=sorted(ADAM), default="fused")
    return parser.parse_args()


if __name__ == "__main__":
    measure("torch", options(__doc__), compiled=False)
