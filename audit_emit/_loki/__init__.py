"""What comparing with Loki, and asking it, is made of."""
