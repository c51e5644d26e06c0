"""Measures of quality, computed in the graph: means over samples, and formulas of whole sets.

``model.compile(metrics=[gn.metrics.F1Score("macro")])``, or by scikit-learn's name: ``"f1_macro"``.
"""

from graphnn.metrics.classification import (
    ConfusionMatrix,
    F1Score,
    Precision,
    Recall,
    TopKAccuracy,
)
from graphnn.metrics.metric import Metric
from graphnn.metrics.regression import R2Score
from graphnn.ops.loss.metric import accuracy, binary_accuracy, top_k_accuracy

__all__ = [
    "ConfusionMatrix",
    "F1Score",
    "Metric",
    "Precision",
    "R2Score",
    "Recall",
    "TopKAccuracy",
    "accuracy",
    "binary_accuracy",
    "top_k_accuracy",
]
