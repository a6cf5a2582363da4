"""What is decided: plan, machine, state, decide, explain, calendar. Pure: no clock, no I/O."""
