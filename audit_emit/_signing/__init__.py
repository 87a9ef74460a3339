"""What signing checkpoints is made of."""
