"""What may leave a log, and when: legal holds, and the removal of what is old and signed."""
