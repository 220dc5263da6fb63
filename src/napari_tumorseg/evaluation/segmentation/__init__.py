"""Scores of a segmentation against a reference, by published definitions."""
