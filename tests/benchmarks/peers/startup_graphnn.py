"""The first training step of the MNIST network in graphnn; the runner measures from outside.

Cold: GRAPHNN_CACHE_DIR is an empty folder. Warm: the folder that a first process has filled.
"""

import numpy as np
import workload
from mlp_graphnn import build

import graphnn as gn

if __name__ == "__main__":
    options = workload.arguments(__doc__, warmup=0, repeats=1).parse_args()
    gn.set_num_threads(options.threads)
    X = np.ones((workload.BATCH, workload.LAYERS[0]), np.float32)
    Y = np.zeros(workload.BATCH, np.int64)
    build().fit({"x": X, "y": Y}, epochs=1, batch_size=workload.BATCH, verbose=0)
    print("first step done", flush=True)
