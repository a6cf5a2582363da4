"""The same core in other time: scenarios, virtual clock, recorded history, pytest plugin."""
