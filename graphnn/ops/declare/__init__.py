"""What ops are declared with: formulas, shape rules, tangents, axes. No op is declared here."""
