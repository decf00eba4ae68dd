"""User simulators: one family a file."""
