"""Lengths of what stands in a prompt, and the characters that replies are made of. Untrusted texts: see `recoworld.text`."""

from __future__ import annotations

TITLE, LINE, NAME = 60, 90, 30
"""Characters of a title, of a line of description, and of a genre's name, at most."""
PLAIN = "[A-Za-z0-9 ,.;:!?'()%&-]"
"""Pattern of a character that JSON needs not escape, and every engine's grammar takes: what replies are made of."""
