"""Counts into numbers: formulas, averages over classes and images, curves and the areas under them."""
