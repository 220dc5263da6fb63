"""Parts of `correction_effort.py`: starting masks, the model of time, the arms and their user."""
