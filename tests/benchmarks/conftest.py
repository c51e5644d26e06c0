"""Programs, not tests: looking for doctests, pytest would import torch and jax."""

collect_ignore_glob = ["*.py", "peers/*.py"]
