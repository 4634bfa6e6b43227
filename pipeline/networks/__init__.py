"""Segmentation networks and their pretrained weights."""
