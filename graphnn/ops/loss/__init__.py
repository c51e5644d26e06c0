"""Losses and metrics of predictions and targets."""
