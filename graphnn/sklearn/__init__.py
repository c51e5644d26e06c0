"""Estimators for scikit-learn, so that its tools tune networks and average their restarts.

``GridSearchCV``, ``cross_val_score``, ``Pipeline``, ``BaggingClassifier`` and all that follow
scikit-learn's protocol take :class:`GraphClassifier` and :class:`GraphRegressor` as they take
its own estimators. Needs scikit-learn 1.6 or later: ``pip install 'graphnn[sklearn]'``.
"""

try:
    from sklearn.utils.validation import validate_data as _needed  # noqa: F401 - the newest of all
except ImportError as error:
    raise ImportError(
        "graphnn.sklearn needs scikit-learn 1.6 or later: pip install 'graphnn[sklearn]'"
    ) from error

from graphnn.sklearn.classifier import GraphClassifier
from graphnn.sklearn.regressor import GraphRegressor

__all__ = ["GraphClassifier", "GraphRegressor"]
