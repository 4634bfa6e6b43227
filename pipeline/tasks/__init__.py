"""What MIC is for: a package for each task, of its losses, labels and base methods."""
