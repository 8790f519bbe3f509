"""Which of many embeddings come first.

What a matcher that joins by cosine says of a picture x and a caption y rises with

    cosine_scale * cos(x, y) + sum_a scale_a * log(sum_v p(v | x) p(v | y) / p(v) + least)

over the attributes a and their values v (see `modules.network.layers.Agreement`). All that depends
on the picture alone is computed once. Where a picture shows one value for certain, the logarithm of
the sum is the sum over v of p(v | x) log(p(v | y) / p(v) + least), so that the whole is a product
of a matrix and a vector; and embeddings lie in fewer directions than they have numbers. By that the
pictures are narrowed down to a shortlist, and only those are scored to the last digit.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from core.matcher import MatcherWeights
from serving.client.base import Floats
from serving.search.encoding import is_judged

_SHORTLIST = 2.5
"""Pictures that are scored, as a factor of the root of their number: of the demo's model and
pictures like the demo's, 10,000 or a million, it held the first ten for 100 of 100 captions."""
_SHORTLIST_TIMES = 8
"""And of what is asked for."""
_GROUPS = 4
"""In which the pictures are, for each on the shortlist, when the first ones are looked for."""
_SAMPLE = 4096
"""Embeddings that tell in which directions all of them lie."""
_LOST = 0.02
"""Share of the squares of the embeddings that a shortlist may do without."""
_AT_ONCE = 16_384
_LEAST_LENGTH = 1e-7
"""Of an embedding, as Keras normalizes it."""

Rows = np.ndarray
"""int64 [K], rows of a matrix."""


def best(values: np.ndarray, top: int) -> Rows:
    """The indices of the greatest values [N], the greatest first; of equal ones the first first."""
    if top < len(values):
        # Whatever equals the last one that fits must be looked at, or chance would choose.
        least = np.partition(values, -top)[-top]
        candidates = np.flatnonzero(values >= least)
    else:
        candidates = np.arange(len(values))
    order: Rows = candidates[np.argsort(-values[candidates], kind="stable")][:top]
    return order


class Gallery:
    """The embeddings of pictures, and what is computed once of them.

    Args:
      embeddings: float32 [N, D], zeros for pictures that cannot be judged.
    """

    def __init__(self, embeddings: Floats):
        self.embeddings = embeddings

    @cached_property
    def inverse_lengths(self) -> Floats:
        """float32 [N]."""
        return _inverse_lengths(self.embeddings)

    @cached_property
    def unjudged(self) -> Rows:
        """Those that cannot be judged."""
        # Rows whose squares vanish are looked at: most galleries have none.
        suspects = np.flatnonzero(self.inverse_lengths >= 1 / np.float32(_LEAST_LENGTH))
        return suspects[~is_judged(self.embeddings[suspects])]

    def cosines(self, query: Floats) -> Floats:
        """float32 [N], cosine similarities with float32 [D]; -inf for what cannot be judged."""
        found: Floats = self.embeddings @ (query * _inverse_lengths(query[np.newaxis]))
        found *= self.inverse_lengths
        found[self.unjudged] = -np.inf
        return found


class Ranking:
    """A gallery, ranked by the probability that a caption describes its pictures.

    Args:
      gallery: the pictures.
      weights: of the matcher.
    """

    def __init__(self, gallery: Gallery, weights: MatcherWeights):
        self._gallery = gallery
        self._weights = weights
        sizes = weights.sizes
        self._starts = np.cumsum([0, *sizes[:-1]])[: len(sizes)]
        self._attribute = np.repeat(np.arange(len(sizes)), sizes)
        self._scales = weights.agreement_scales[self._attribute]
        self._basis = _basis(gallery.embeddings)
        self._keys = _in_parts(self._keys_of, gallery.embeddings)

    def best(self, caption: Floats, top: int) -> tuple[Rows, Floats]:
        """The pictures that a caption describes best.

        Args:
          caption: float32 [D], not all of it 0.
          top: the most pictures to return.

        Returns:
          Rows, those with the greatest probability first, and their probabilities, float32 [K].
        """
        unit, ratios = self._asked(caption)
        count = len(self._keys)
        wanted = max(round(_SHORTLIST * count**0.5), _SHORTLIST_TIMES * top)
        if wanted < count:
            rows = shortlist(self._approximate(unit, ratios), wanted)
        else:
            rows = np.delete(np.arange(count), self._gallery.unjudged)
        logits = _in_parts(lambda part: self._logits(part, unit, ratios), rows)
        first = best(logits, top)
        return rows[first], self._probabilities(logits[first])

    def probabilities(self, caption: Floats, rows: Rows) -> Floats:
        """float32 [K], of some pictures that can be judged; see `best`."""
        return self._probabilities(self._logits(rows, *self._asked(caption)))

    def _asked(self, caption: Floats) -> tuple[Floats, Floats]:
        """float32 [D], of length 1, and p(v | caption) / p(v), float32 [V]."""
        unit = caption * _inverse_lengths(caption[np.newaxis])
        return unit, self._values_of(caption[np.newaxis])[0] / self._weights.shares

    def _keys_of(self, embeddings: Floats) -> Floats:
        """What is approximated by: float32 [N, R + V], directions and p(v | picture)."""
        units = embeddings * _inverse_lengths(embeddings)[:, np.newaxis]
        return np.concatenate([units @ self._basis, self._values_of(embeddings)], axis=1)

    def _values_of(self, embeddings: Floats) -> Floats:
        """float32 [N, D] to p(v | embedding), float32 [N, V]."""
        logits: Floats = embeddings @ self._weights.classifier_kernel
        if not logits.size:
            return logits
        logits += self._weights.classifier_bias
        logits -= np.maximum.reduceat(logits, self._starts, axis=1)[:, self._attribute]
        values: Floats = np.exp(logits, out=logits)
        values /= np.add.reduceat(values, self._starts, axis=1)[:, self._attribute]
        return values

    def _approximate(self, unit: Floats, ratios: Floats) -> Floats:
        """float32 [N], which ranks nearly as the probabilities do; -inf for what is not judged."""
        directions = self._weights.cosine_scale * (unit @ self._basis)
        agreement = self._scales * np.log(ratios + self._weights.least_agreement)
        scores: Floats = self._keys @ np.concatenate([directions, agreement])
        scores[self._gallery.unjudged] = -np.inf
        return scores

    def _logits(self, rows: Rows, unit: Floats, ratios: Floats) -> Floats:
        """float32 [K], before calibration."""
        weights, gallery = self._weights, self._gallery
        # Not a matrix product: that may round equal rows differently, by where they stand.
        logits: Floats = np.einsum("nd,d->n", gallery.embeddings[rows], unit)
        logits *= weights.cosine_scale * gallery.inverse_lengths[rows]
        logits += weights.bias
        if ratios.size:
            same = self._keys[rows, self._basis.shape[1] :] * ratios
            agreement = np.add.reduceat(same, self._starts, axis=1)
            agreement += weights.least_agreement
            np.log(agreement, out=agreement)
            logits += np.einsum("na,a->n", agreement, weights.agreement_scales)
        return logits

    def _probabilities(self, logits: Floats) -> Floats:
        weights, zero = self._weights, np.float32(0)
        calibrated = (
            weights.high * np.logaddexp(zero, logits)
            - weights.low * np.logaddexp(zero, -logits)
            + weights.offset
        )
        least = weights.least_probability
        probabilities: Floats = np.clip(1 / (1 + np.exp(-calibrated)), least, 1 - least)
        return probabilities


def _inverse_lengths(embeddings: Floats) -> Floats:
    """float32 [N, D] to float32 [N]."""
    lengths = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings))
    inverse: Floats = 1 / np.maximum(lengths, np.float32(_LEAST_LENGTH))
    return inverse


def _basis(embeddings: Floats) -> Floats:
    """float32 [D, R], orthonormal: the directions in which nearly all of the embeddings lie."""
    sample = embeddings[np.linspace(0, len(embeddings) - 1, _SAMPLE).astype(int)]
    units = sample * _inverse_lengths(sample)[:, np.newaxis]
    shares, directions = np.linalg.eigh(units.T @ units)
    needless = np.count_nonzero(np.cumsum(shares) <= _LOST * shares.sum())
    return np.ascontiguousarray(directions[:, needless:])


def shortlist(values: Floats, count: int) -> Rows:
    """Rows of the greatest values, of which the first `count` are sure to be among them.

    Args:
      values: float32 [N], more than `count`.
      count: how many at least.

    Returns:
      In ascending order, without those that are -inf.
    """
    # The greatest of each group; at least as many values as groups are as great as the last of
    # those that count. One pass that needs no copy, unlike a partition of all values.
    groups = min(_GROUPS * count, len(values))
    grouped = values[: len(values) // groups * groups].reshape(-1, groups)
    least = np.partition(grouped.max(axis=0), -count)[-count]
    rows = np.flatnonzero(values >= least)
    return rows if np.isfinite(least) else rows[np.isfinite(values[rows])]


def _in_parts(work: Callable[[np.ndarray], Floats], items: np.ndarray) -> Floats:
    """What the work makes of the items, so many at a time that little memory is needed for it."""
    if len(items) <= _AT_ONCE:
        return work(items)
    first = work(items[:_AT_ONCE])
    found = np.empty((len(items), *first.shape[1:]), np.float32)
    found[:_AT_ONCE] = first
    for start in range(_AT_ONCE, len(items), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        found[part] = work(items[part])
    return found
