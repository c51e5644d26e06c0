"""Elements chosen by their places, and places found by the elements' order."""
