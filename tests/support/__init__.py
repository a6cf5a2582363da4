"""What several tests need: plans from YAML text, policies drawn at random."""
