"""The torch-free runtime: pictures in, classes and confidence out."""
