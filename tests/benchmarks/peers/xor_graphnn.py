"""One step of XOR in graphnn: the whole `fit` call divided by its steps, nothing subtracted."""

import time

import workload

import graphnn as gn
from graphnn import nn, optim

STEPS = 200_000


def main():
    options = workload.arguments(__doc__, warmup=1, repeats=5).parse_args()
    gn.set_num_threads(options.threads)
    gn.set_seed(0)
    x, y = gn.Input((None, 2), name="x"), gn.Input((None, 1), name="y")
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())
    out = net(x)
    model = gn.Model(inputs=x, outputs=out)
    model.compile(optimizer=optim.SGD(lr=workload.SGD_LR), loss=gn.mse_loss(out, y))
    data = {"x": workload.XOR_X, "y": workload.XOR_Y}
    seconds = []
    for _ in range(options.warmup + options.repeats):
        start = time.perf_counter()
        model.fit(data, epochs=STEPS, batch_size=4, shuffle=False, verbose=0)
        seconds.append((time.perf_counter() - start) / STEPS)

    workload.report(
        peer="graphnn",
        task="xor",
        threads=options.threads,
        unit="step",
        seconds=seconds[options.warmup :],
        loss=workload.mean_squared_error(model.predict(workload.XOR_X), workload.XOR_Y),
        packages=["graphnn", "numba"],
    )


if __name__ == "__main__":
    main()
