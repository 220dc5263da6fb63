"""The record of a correction: journal, provenance, review, replay."""
