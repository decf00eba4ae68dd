"""The networks and their training, in torch; who comes in by a policy's name is told where it is missing."""
