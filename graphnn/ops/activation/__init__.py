"""Activation functions of neurons."""
