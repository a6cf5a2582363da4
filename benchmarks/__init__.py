"""Speed and size, measured on this machine: `make bench`, or one of them alone."""
