"""The first training step of the MNIST network in jax, jitted; the runner measures from outside.

Cold: jax's persistent compilation cache is an empty folder. Warm: one that a first process has
filled. The runner sets the cache up by jax's environment variables.
"""

import jax
import jax.numpy as jnp
import workload
from mlp_jax import initial_state, training_step

if __name__ == "__main__":
    workload.arguments(__doc__, warmup=0, repeats=1).parse_args()
    X = jnp.ones((workload.BATCH, workload.LAYERS[0]))
    Y = jnp.zeros(workload.BATCH, jnp.int32)
    step = jax.jit(training_step, donate_argnums=0)
    jax.block_until_ready(step(initial_state(), X, Y))
    print("first step done", flush=True)
