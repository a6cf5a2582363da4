"""What a user writes: models, loader with places, conditions, findings, JSON Schema."""
