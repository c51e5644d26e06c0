"""What differs while a model is trained: its phase, and the formulas of the optimizers."""
