"""What every training loop needs: optimiser, checkpoints, progress."""

from pipeline.run import caches as _caches  # noqa: F401  before the libraries that keep some
