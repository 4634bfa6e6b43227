"""Inference, scores and the report."""

from pipeline.run import caches as _caches  # noqa: F401  before the libraries that keep some
