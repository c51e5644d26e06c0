"""The first training step of the MNIST network in torch, eager; the runner measures from outside.

It keeps no compiled code, so it has no cold and warm case of its own.
"""

import torch
import torch.nn.functional as F  # noqa: N812
import workload
from mlp_torch import ADAM, network

if __name__ == "__main__":
    options = workload.arguments(__doc__, warmup=0, repeats=1).parse_args()
    torch.set_num_threads(options.threads)
    X = torch.ones(workload.BATCH, workload.LAYERS[0])
    Y = torch.zeros(workload.BATCH, dtype=torch.int64)
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=workload.ADAM_LR, **ADAM["fused"])
    loss = F.cross_entropy(net(X), Y)
    loss.backward()
    optimizer.step()
    print("first step done", flush=True)
