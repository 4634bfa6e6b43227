"""Inference, scores and the report."""
