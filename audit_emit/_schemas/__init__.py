"""What the fields of an event type must be, by classes and JSON Schemas, and what does not fit."""
