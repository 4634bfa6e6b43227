"""What every command runs in: its folders, its lock, its randomness, its machine, and how it ends."""
