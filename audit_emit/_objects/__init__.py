"""Objects in a store that speaks S3: bytes by key. What they mean is known elsewhere."""
