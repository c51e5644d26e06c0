"""Random numbers, and the noise that trains."""
