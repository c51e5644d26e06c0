"""Ops that make one element of many along axes: sums, extremes, statistics, running sums."""
