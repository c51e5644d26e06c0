"""One epoch of the MNIST network in jax: one jitted call, `lax.scan` over its 468 full batches.

The tail batch of 96 is a second step inside the same call; parameters and Adam's moments are
donated; a batch is gathered inside the scan (shuffling the whole set first was slower, unrolling
too) by a permutation drawn in NumPy (`jax.random.permutation` sorts, and costs 20 ms).

jax takes every CPU that the process may use; the runner confines it, `taskset` does by hand.
"""

import os
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import workload
from jax import lax

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def initial_state():
    """Return (parameters, first moments, second moments, steps done)."""
    draw = np.random.default_rng(0)
    parameters = []
    for fan_in, fan_out in zip(workload.LAYERS, workload.LAYERS[1:], strict=False):
        weight = draw.standard_normal((fan_in, fan_out)) * np.sqrt(2 / fan_in)
        parameters.append((jnp.asarray(weight, jnp.float32), jnp.zeros(fan_out)))
    first, second = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
    return parameters, first, second, jnp.int32(0)


def logits_of(parameters, x):
    *hidden, (weight, bias) = parameters
    for w, b in hidden:
        x = jax.nn.relu(x @ w + b)
    return x @ weight + bias


def loss_of(parameters, x, y):
    log_probability = jax.nn.log_softmax(logits_of(parameters, x))
    return -jnp.mean(jnp.take_along_axis(log_probability, y[:, None], axis=1))


def training_step(state, x, y):
    """One step of Adam (Kingma & Ba 2015, algorithm 1); returns the new state and the loss."""
    parameters, first, second, steps = state
    loss, gradient = jax.value_and_grad(loss_of)(parameters, x, y)
    steps = steps + 1
    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradient)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradient)
    debias1, debias2 = 1 / (1 - BETA1**steps), 1 / (1 - BETA2**steps)

    def update(p, m, v):
        return p - workload.ADAM_LR * m * debias1 / (jnp.sqrt(v * debias2) + EPSILON)

    return (jax.tree.map(update, parameters, first, second), first, second, steps), loss


@partial(jax.jit, donate_argnums=0)
def train_epoch(state, X, Y, permutation):
    """Return the new state and the epoch's mean loss."""
    full = len(X) // workload.BATCH * workload.BATCH
    batches, tail = permutation[:full].reshape(-1, workload.BATCH), permutation[full:]
    state, losses = lax.scan(lambda s, rows: training_step(s, X[rows], Y[rows]), state, batches)
    state, tail_loss = training_step(state, X[tail], Y[tail])
    return state, (losses.sum() * workload.BATCH + tail_loss * len(tail)) / len(X)


def main():
    options = workload.arguments(__doc__, warmup=1, repeats=5).parse_args()
    images, labels = workload.mnist(synthetic=options.synthetic)
    X, Y = jnp.asarray(images), jnp.asarray(labels.astype(np.int32))
    draw = np.random.default_rng(1)
    state = initial_state()
    seconds = []
    for _ in range(options.warmup + options.repeats):
        start = time.perf_counter()
        permutation = jnp.asarray(draw.permutation(len(X)).astype(np.int32))
        state, _ = jax.block_until_ready(train_epoch(state, X, Y, permutation))
        seconds.append(time.perf_counter() - start)

    workload.report(
        peer="jax",
        task="mlp",
        threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        unit="epoch",
        seconds=seconds[options.warmup :],
        loss=workload.cross_entropy(logits_of(state[0], X), labels),
        packages=["jax", "jaxlib"],
    )


if __name__ == "__main__":
    main()
