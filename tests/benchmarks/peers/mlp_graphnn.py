"""One epoch of the MNIST network in graphnn: `fit` runs every epoch in the jitted executor.

An epoch's time is graphnn's own (`history.seconds`); `outside` is the whole `fit` call divided by
its epochs, by this program's clock, so that a loop which hid work between epochs would show it.
"""

import time

import workload

import graphnn as gn
from graphnn import nn, optim


def build():
    """Return the compiled model, its inputs named x and y."""
    gn.set_seed(0)
    inputs, first, second, classes = workload.LAYERS
    x = gn.Input((None, inputs), name="x")
    y = gn.Input((None,), dtype="int64", name="y")
    net = nn.Sequential(
        nn.Linear(inputs, first),
        nn.ReLU(),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, classes),
    )
    logits = net(x)
    model = gn.Model(inputs=x, outputs=logits)
    model.compile(optimizer=optim.Adam(lr=workload.ADAM_LR), loss=gn.cross_entropy(logits, y))
    return model


def main():
    options = workload.arguments(__doc__, warmup=1, repeats=5).parse_args()
    gn.set_num_threads(options.threads)
    X, Y = workload.mnist(synthetic=options.synthetic)
    model = build()
    data = {"x": X, "y": Y}
    model.fit(data, epochs=options.warmup, batch_size=workload.BATCH, verbose=0)
    start = time.perf_counter()
    history = model.fit(data, epochs=options.repeats, batch_size=workload.BATCH, verbose=0)
    outside = (time.perf_counter() - start) / options.repeats

    workload.report(
        peer="graphnn",
        task="mlp",
        threads=options.threads,
        unit="epoch",
        seconds=list(history.seconds),
        loss=workload.cross_entropy(model.predict(X), Y),
        packages=["graphnn", "numba", "scipy"],
        outside=outside,
    )


if __name__ == "__main__":
    main()
