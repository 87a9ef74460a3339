"""From whatever a caller passes to plain JSON values that hold no secret."""
