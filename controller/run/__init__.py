"""The shell: the scheduled loop, the unit of work, reload, settings."""
