"""The algorithm on torch: train the MLPs and the memory bank, and fit new rows."""
