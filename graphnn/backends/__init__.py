"""Where graphs run: a slow NumPy oracle, and the machines."""
