"""What the numbers say: windows, aggregations, comparisons. Pure: no clock, no I/O."""
