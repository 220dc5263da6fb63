"""Made-up patients: images whose truth is known, for the demo, for tests and for training."""
