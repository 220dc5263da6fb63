"""Lesions over time: which is which, how each changed, and the category of response."""
