"""``python -m napari_tumorseg.cli``: the same as ``tumorseg``."""

import sys

from napari_tumorseg.cli import main

sys.exit(main())
