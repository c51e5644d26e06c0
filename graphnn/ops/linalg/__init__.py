"""Matrix products, sums of products by letters, diagonals."""
