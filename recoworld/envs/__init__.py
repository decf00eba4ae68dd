"""Environments: thin projections of `recoworld.world.World`."""
