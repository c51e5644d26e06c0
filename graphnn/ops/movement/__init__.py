"""Ops that move, rename or join data and compute nothing."""
