"""Observations: how what a policy may see is laid out in arrays. Nothing hidden passes through here.

Index by index, with `n` users in front (`n_items` items, `h` history, `k` slots, `d` content features, `p` profile features):

| key | dtype, shape | range | holds |
|---|---|---|---|
| profile | float32 [n, p] | 0..1 | demographics (`Users.features`) |
| history | int32 [n, h] | 0..n_items | items met, oldest first, as index + 1; 0 is padding |
| history_acts | int8 [n, h] | 0..8 | what became of each: `recoworld.types.Act` |
| slate | int32 [n, k] | 0..n_items | the last slate, as index + 1; 0 before the first |
| feedback | float32 [n, k, 6] | 0..1 | click, like, comment, share, share of duration watched, skip: per slot of the last slate |
| instruction | float32 [n, 6 + d + 2] | -1..1 | in force: kind (one of 6), content asked about, popularity (-1 little, 1 well known), 1 / (1 + age) |
| instruction_code | int32 [n, 4] | 0.. | the same as integers: `Kind`, `Aspect`, value, age in slates; zeros for none |
| turn | float32 [n, 1] | 0..1 | turns finished / max_turns |
"""

from __future__ import annotations
