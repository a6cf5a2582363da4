"""What only the whole policy can tell: one subject a file, collected by `policy.check`."""
