"""Matches and pixels into exact integers: true and false positives, false negatives, confusion matrices."""
