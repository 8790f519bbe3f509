"""Ranks, recall at k, and what chance alone would reach: NumPy only."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np


def rank_of_best(scores: np.ndarray, is_relevant: np.ndarray) -> float:
    """Where a query's best relevant item stands among the items that are not relevant.

    Ties are broken by their middle: an item with the same score as n wrong ones stands behind half
    of them. So a model that gives every item the same score ranks like chance, not like an oracle.

    Args:
      scores: float [N], higher is better.
      is_relevant: bool [N], at least one is True.

    Returns:
      1 for the best rank; halves are possible.
    """
    best = scores[is_relevant].max()
    wrong = scores[~is_relevant]
    return float(1 + np.count_nonzero(wrong > best) + np.count_nonzero(wrong == best) / 2)


def recall_at(ranks: np.ndarray, k: int) -> float:
    """Share of the queries whose best relevant item stands among the first k.

    Args:
      ranks: float [Q], from `rank_of_best`.
      k: how many items one would look at.
    """
    return float(np.mean(ranks <= k))


def chance_recall_at(k: int, relevant: Sequence[int], items: int) -> float:
    """What `recall_at` is on average if the items are put in random order.

    Args:
      k: how many items one would look at.
      relevant: for each query, how many of the items are relevant to it.
      items: number of items.
    """
    if k >= items:
        return 1.0
    every = math.comb(items, k)
    hits = sum(
        queries * (1 - math.comb(items - count, k) / every)
        for count, queries in Counter(relevant).items()
    )
    return hits / len(relevant)


def chance_median_rank(relevant: Sequence[int], items: int) -> float:
    """The rank that half of the queries reach if the items are put in random order.

    Args:
      relevant: for each query, how many of the items are relevant to it.
      items: number of items.
    """
    low, high = 1, items
    while low < high:  # Chance recall grows with k.
        middle = (low + high) // 2
        if chance_recall_at(middle, relevant, items) >= 0.5:
            high = middle
        else:
            low = middle + 1
    return float(low)
