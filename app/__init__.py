"""The page that compares two models on any picture (torch-free)."""
