"""Settings: what each may be, from arguments and from the environment."""
