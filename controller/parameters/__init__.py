"""From one configuration to another: curves, the vector of all parameters between, pure."""
