"""The page that compares two models on any picture (torch-free)."""

import pipeline as _pipeline  # noqa: F401  first: its switches, and a quiet end while libraries are imported
