"""Moving aside what is no record."""
