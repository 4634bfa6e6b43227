"""Data sets, the index and the training loader."""
