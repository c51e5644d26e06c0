"""One step of XOR as a loop written by hand for this one network, compiled by numba.

No graph, no table, no call between ops; only `tanh` and `exp` are scalar library calls. One thread.
"""

import math
import time

import numpy as np
import workload
from numba import njit

STEPS = 200_000
ROWS, INPUTS, HIDDEN = 4, 2, 4


@njit(fastmath=True, error_model="numpy")
def train(X, Y, W1, b1, W2, b2, lr, steps):
    """Run `steps` steps of SGD in place; 2-4-1, so W2 has one column and b2 one entry."""
    one, two = np.float32(1), np.float32(2)
    h = np.empty((ROWS, HIDDEN), np.float32)
    dW1, db1 = np.empty_like(W1), np.empty_like(b1)
    dW2 = np.empty_like(W2)
    for _ in range(steps):
        dW1[:], db1[:], dW2[:] = 0, 0, 0
        db2 = np.float32(0)
        for r in range(ROWS):
            z = b2[0]
            for j in range(HIDDEN):
                a = b1[j]
                for i in range(INPUTS):
                    a += X[r, i] * W1[i, j]
                h[r, j] = math.tanh(a)
                z += h[r, j] * W2[j, 0]
            out = one / (one + math.exp(-z))
            dz = two / np.float32(ROWS) * (out - Y[r, 0]) * out * (one - out)
            db2 += dz
            for j in range(HIDDEN):
                dW2[j, 0] += dz * h[r, j]
                da = dz * W2[j, 0] * (one - h[r, j] * h[r, j])
                db1[j] += da
                for i in range(INPUTS):
                    dW1[i, j] += da * X[r, i]
        b2[0] -= lr * db2
        for j in range(HIDDEN):
            W2[j, 0] -= lr * dW2[j, 0]
            b1[j] -= lr * db1[j]
            for i in range(INPUTS):
                W1[i, j] -= lr * dW1[i, j]


def main():
    options = workload.arguments(__doc__, warmup=1, repeats=5).parse_args()
    X, Y = workload.XOR_X, workload.XOR_Y
    W1, b1, W2, b2 = workload.xor_weights()
    seconds = []
    for _ in range(options.warmup + options.repeats):
        start = time.perf_counter()
        train(X, Y, W1, b1, W2, b2, np.float32(workload.SGD_LR), STEPS)
        seconds.append((time.perf_counter() - start) / STEPS)

    outputs = 1 / (1 + np.exp(-(np.tanh(X @ W1 + b1) @ W2 + b2)))
    workload.report(
        peer="numba",
        task="xor",
        threads=1,
        unit="step",
        seconds=seconds[options.warmup :],
        loss=workload.mean_squared_error(outputs, Y),
        packages=["numba"],
    )


if __name__ == "__main__":
    main()
