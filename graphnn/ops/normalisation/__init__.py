"""Values brought to one scale: softmax, and the norms over features, groups and batches."""
