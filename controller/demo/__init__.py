"""The main job on real market data, end to end: what `rollout demo` shows."""
