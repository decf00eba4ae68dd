"""Behavioural users who ask a language model about a part of what they do: `hybrid` for the words, `scored` for the clicks."""
