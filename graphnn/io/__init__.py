"""Files: weights in safetensors."""

from graphnn.io.weights import load_weights, save_weights

__all__ = ["load_weights", "save_weights"]
