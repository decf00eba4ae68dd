"""User simulators: one family a file, or a room where it takes several."""
