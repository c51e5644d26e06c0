"""One epoch of the MNIST network in torch, forward and reverse pass by `torch.compile`.

`dynamic=False` compiles once for batches of 128 and once for the tail of 96. Compiling the whole
step, or the optimizer's too, was slower than this with fused Adam; `mode="max-autotune"` as fast.
Needs a C++ compiler on the machine.
"""

import mlp_torch

if __name__ == "__main__":
    mlp_torch.measure("torch.compile", mlp_torch.options(__doc__), compiled=True)
