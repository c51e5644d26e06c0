"""Attention, and the positions that it does not see by itself."""
