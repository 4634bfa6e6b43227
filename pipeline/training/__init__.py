"""What every training loop needs: optimiser, checkpoints, progress."""
