"""``python -m recoworld.cli``."""

from recoworld.cli import main

main()
