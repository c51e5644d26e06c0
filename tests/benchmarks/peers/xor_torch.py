"""One step of XOR in torch, eager: `optim.SGD` with `foreach=False`, the fastest for 17 weights."""

import time

import torch
import torch.nn.functional as F  # noqa: N812
import workload
from torch import nn

STEPS = 2_000


def network():
    """2-4-1; torch keeps a weight as (out, in)."""
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())
    with torch.no_grad():
        for parameter, start in zip(net.parameters(), workload.xor_weights(), strict=True):
            parameter.copy_(torch.from_numpy(start.T))
    return net


def main():
    options = workload.arguments(__doc__, warmup=1, repeats=5).parse_args()
    torch.set_num_threads(options.threads)
    X, Y = torch.from_numpy(workload.XOR_X), torch.from_numpy(workload.XOR_Y)
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=workload.SGD_LR, foreach=False)
    seconds = []
    for _ in range(options.warmup + options.repeats):
        start = time.perf_counter()
        for _ in range(STEPS):
            optimizer.zero_grad()
            F.mse_loss(net(X), Y).backward()
            optimizer.step()
        seconds.append((time.perf_counter() - start) / STEPS)

    with torch.no_grad():
        outputs = net(X).numpy()
    workload.report(
        peer="torch",
        task="xor",
        threads=torch.get_num_threads(),
        unit="step",
        seconds=seconds[options.warmup :],
        loss=workload.mean_squared_error(outputs, workload.XOR_Y),
        packages=["torch"],
    )


if __name__ == "__main__":
    main()
