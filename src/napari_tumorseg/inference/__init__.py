"""From images and weights to labels."""
