"""Network architectures: torch and MONAI only, no input or output."""
