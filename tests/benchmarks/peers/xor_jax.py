"""One step of XOR in jax: one jitted `lax.scan` over 10,000 steps, called ten times a repeat.

`--products sums` writes the three tiny matrix products as broadcast and sum, which lets XLA fuse
a whole step into one loop: ten times faster than `x @ w` here, but nobody's first idea.
"""

import os
import time
from functools import partial

import jax
import jax.numpy as jnp
import workload
from jax import lax

SCAN_STEPS, CALLS = 10_000, 10


def product_as_sum(a, b):
    return (a[:, :, None] * b[None]).sum(axis=1)


PRODUCTS = {"matmul": jnp.matmul, "sums": product_as_sum}


def forward(product, parameters, x):
    W1, b1, W2, b2 = parameters
    return jax.nn.sigmoid(product(jnp.tanh(product(x, W1) + b1), W2) + b2)


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def train(product, parameters, x, y):
    """Return the parameters after `SCAN_STEPS` steps."""

    def loss_of(p):
        return jnp.mean((forward(product, p, x) - y) ** 2)

    def step(p, _):
        gradient = jax.grad(loss_of)(p)
        return jax.tree.map(lambda w, dw: w - workload.SGD_LR * dw, p, gradient), None

    return lax.scan(step, parameters, length=SCAN_STEPS)[0]


def main():
    parser = workload.arguments(__doc__, warmup=1, repeats=5)
    parser.add_argument("--products", choices=sorted(PRODUCTS), default="matmul")
    options = parser.parse_args()
    product = PRODUCTS[options.products]
    X, Y = jnp.asarray(workload.XOR_X), jnp.asarray(workload.XOR_Y)
    parameters = [jnp.asarray(start) for start in workload.xor_weights()]
    seconds = []
    for _ in range(options.warmup + options.repeats):
        start = time.perf_counter()
        for _ in range(CALLS):
            parameters = train(product, parameters, X, Y)
        jax.block_until_ready(parameters)
        seconds.append((time.perf_counter() - start) / (CALLS * SCAN_STEPS))

    workload.report(
        peer="jax",
        task="xor",
        threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        unit="step",
        seconds=seconds[options.warmup :],
        loss=workload.mean_squared_error(forward(product, parameters, X), workload.XOR_Y),
        packages=["jax", "jaxlib"],
        products=options.products,
    )


if __name__ == "__main__":
    main()
