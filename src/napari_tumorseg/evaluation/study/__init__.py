"""Statistics of annotation studies: time, quality, detection, automation bias, learning, and the simulated studies that check them."""
