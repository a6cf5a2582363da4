"""How the targets of two versions become one: weights, conflicts, limits, frictions. Pure."""
