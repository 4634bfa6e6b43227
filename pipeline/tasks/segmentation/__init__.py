"""Semantic segmentation of street scenes."""
