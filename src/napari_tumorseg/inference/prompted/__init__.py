"""A segmenter that answers clicks, boxes, scribbles and lassos at once, without a network."""
