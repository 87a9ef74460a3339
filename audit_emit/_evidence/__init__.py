"""What verifying is made of: a chain as it is followed, its witnesses, findings. Pure."""
