"""Matrix factorisation by alternating least squares, and the folding-in of users whom it has not seen. NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_CELLS = 8_000_000  # floats in one padded block of gathered factors


def solve_rows(
    features: Floats, indptr: NDArray[np.int64], columns: NDArray[Any], targets: Floats, ridge: Floats, gram: Floats | None = None
) -> Floats:
    """Ridge regressions of many sparse rows on shared features.

    Row `u` has the entries ``columns[indptr[u]:indptr[u + 1]]`` with `targets` beside them; its solution is
    ``argmin_x sum_e (targets_e - x . features[columns_e])^2 + x' gram x + ridge_u |x|^2``.

    features: float32 ``[m, d]``; ridge: ``[n_rows]``; gram: ``[d, d]`` or None. Returns float32 ``[n_rows, d]``. A row's solution
    depends on that row alone, up to float32 rounding.
    """
    n_rows, d = len(indptr) - 1, features.shape[1]
    padded = np.concatenate([features, np.zeros((1, d), np.float32)])  # the last row pads
    lengths = np.diff(indptr)
    out = np.zeros((n_rows, d), dtype=np.float32)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    start = 0
    while start < len(order):
        # rows of similar length share a padded block: the longest decides how many fit
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * int(lengths[order[stop]]) * d <= _CELLS and stop - start < 4096:
            stop += 1
        rows = order[start:stop]
        width = int(lengths[rows[-1]])
        inside = np.arange(width) < lengths[rows, None]
        entries = np.minimum(indptr[rows, None] + np.arange(width), len(columns) - 1)
        x = padded[np.where(inside, columns[entries], len(features))]  # [b, width, d]
        y = np.where(inside, targets[entries], np.float32(0.0))  # [b, width]
        normal = np.matmul(x.transpose(0, 2, 1), x)
        if gram is not None:
            normal += gram
        normal[:, np.arange(d), np.arange(d)] += ridge[rows, None]
        moment = np.matmul(x.transpose(0, 2, 1), y[:, :, None])
        out[rows] = np.linalg.solve(normal, moment)[:, :, 0]
        start = stop
    return out


def transpose(
    indptr: NDArray[np.int64], columns: NDArray[Any], values: Floats, n_columns: int
) -> tuple[NDArray[np.int64], NDArray[Any], Floats]:
    """The same sparse matrix by columns: (indptr, rows, values)."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    order = np.argsort(columns, kind="stable")
    pointer = np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=n_columns))]).astype(np.int64)
    return pointer, rows[order], values[order]


class ImplicitFactors:
    """Who takes what: implicit ALS (Hu, Koren & Volinsky 2008) with the regularisation of Rendle et al. 2022 (arXiv 2110.14037).

    Minimises ``sum_observed (1 - p_u . q_i)^2 + alpha sum_all (p_u . q_i)^2 + reg (n_row + alpha n_all) |row|^2``.
    """

    def __init__(self, items: Floats, *, alpha: float, reg: float) -> None:
        self.items, self.alpha, self.reg = items, alpha, reg

    @classmethod
    def fit(
        cls, indptr: NDArray[np.int64], columns: NDArray[Any], n_items: int, *, d: int, alpha: float, reg: float, epochs: int, seed: int
    ) -> ImplicitFactors:
        """Fit item factors ``[n_items, d]`` on the rows of training users."""
        rng = np.random.Generator(np.random.PCG64(seed))
        model = cls((rng.standard_normal((n_items, d)) * 0.1 / np.sqrt(d)).astype(np.float32), alpha=alpha, reg=reg)
        ones = np.ones(len(columns), dtype=np.float32)
        t_indptr, t_rows, t_ones = transpose(indptr, columns, ones, n_items)
        n_users = len(indptr) - 1
        for _ in range(epochs):
            users = model.fold_in(indptr, columns)
            ridge = (reg * (np.diff(t_indptr) + alpha * n_users)).astype(np.float32)
            model.items = solve_rows(users, t_indptr, t_rows, t_ones, ridge, np.float32(alpha) * (users.T @ users))
        return model

    def fold_in(self, indptr: NDArray[np.int64], columns: NDArray[Any]) -> Floats:
        """Factors ``[n_rows, d]`` of users with these interactions."""
        ridge = (self.reg * (np.diff(indptr) + self.alpha * len(self.items))).astype(np.float32)
        gram = np.float32(self.alpha) * (self.items.T @ self.items)
        return solve_rows(self.items, indptr, columns, np.ones(len(columns), np.float32), ridge, gram)


class RatingFactors:
    """How much they like it: ``r_ui = mu + b_u + b_i + p_u . q_i`` by weighted-lambda ALS (Zhou et al. 2008; Koren et al. 2009)."""

    def __init__(self, items: Floats, biases: Floats, mean: float, *, reg: float) -> None:
        self.items, self.biases, self.mean, self.reg = items, biases, mean, reg

    @classmethod
    def fit(
        cls, indptr: NDArray[np.int64], columns: NDArray[Any], ratings: Floats, n_items: int, *, d: int, reg: float, epochs: int, seed: int
    ) -> RatingFactors:
        """Fit item factors ``[n_items, d]`` and biases ``[n_items]`` on the rows of training users."""
        rng = np.random.Generator(np.random.PCG64(seed))
        mean = float(ratings.mean()) if len(ratings) else 0.0
        model = cls((rng.standard_normal((n_items, d)) * 0.1).astype(np.float32), np.zeros(n_items, np.float32), mean, reg=reg)
        t_indptr, t_rows, t_ratings = transpose(indptr, columns, ratings, n_items)
        ridge = (reg * np.diff(t_indptr)).astype(np.float32)
        for _ in range(epochs):
            users = model.fold_in(indptr, columns, ratings)
            # the user's bias is known by now: what is left is explained by [p_u, 1] . [q_i, b_i]
            known = np.concatenate([users[:, :-1], np.ones((len(users), 1), np.float32)], axis=1)
            solved = solve_rows(known, t_indptr, t_rows, t_ratings - np.float32(mean) - users[t_rows, -1], ridge)
            model.items, model.biases = np.ascontiguousarray(solved[:, :-1]), solved[:, -1].copy()
        return model

    def fold_in(self, indptr: NDArray[np.int64], columns: NDArray[Any], ratings: Floats) -> Floats:
        """``[n_rows, d + 1]``: the factors of users with these ratings, and their bias in the last column."""
        known = np.concatenate([self.items, np.ones((len(self.items), 1), np.float32)], axis=1)
        ridge = (self.reg * np.diff(indptr)).astype(np.float32)
        return solve_rows(known, indptr, columns, ratings - np.float32(self.mean) - self.biases[columns], ridge)

    def predict(self, users: Floats) -> Floats:
        """Expected stars ``[n_rows, n_items]``."""
        return users[:, :-1] @ self.items.T + users[:, -1:] + self.biases + np.float32(self.mean)
