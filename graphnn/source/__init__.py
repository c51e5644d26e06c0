"""Python functions read as kernel bodies."""

from graphnn.source.body import MATH_FUNCTIONS, NUMPY_NAMES, SUFFIX, Body, fast_add, math_name
from graphnn.source.syntax import unassigned

__all__ = ["MATH_FUNCTIONS", "NUMPY_NAMES", "SUFFIX", "Body", "fast_add", "math_name", "unassigned"]
