"""Where EM starts: a labelling of the rows, from which the first M-step makes a point."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
KINDS = ("knn", "kmeans", "kmeans++", "quantiles", "random")
ROUNDS = 30  # of k-means
FAINT = 0.02  # weight of the other branches in a row


def features_of(columns: Sequence[Array], weights: Array | None) -> Array:
    """The columns, centred and divided by a spread that one far row does not move."""
    found = []
    for column in columns:
        middle = float(np.median(column))
        scaled = column - middle
        spread = scale_of(column)
        found.append(scaled / spread if spread > 0 else scaled)
    return np.array(found).T


def scale_of(column: Array) -> float:
    """The smaller of the standard deviation and 1.4826 times the median absolute deviation, where that is not 0."""
    size = float(np.abs(column).max(initial=0.0))
    if size == 0:
        return 0.0
    part = column / size
    deviation = float(np.std(part))
    middle = 1.4826 * float(np.median(np.abs(part - np.median(part))))
    return size * (min(deviation, middle) if middle > 0 else deviation)


def labels_of(
    kind: str, features: Array, weights: Array | None, k: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """A label for each row.

    "knn": the nearest of k seeds far from each other; "kmeans": Lloyd's iteration from those of "kmeans++", drawn
    with probability proportional to the squared distance to the nearest seed so far; "quantiles": equal parts along
    the first principal direction; "random": the nearest of k rows drawn at random.
    """
    w = np.ones(len(features)) if weights is None else weights
    if kind == "quantiles":
        along = features[:, 0] if features.shape[1] == 1 else _principal(features, w)
        order = np.argsort(along, kind="stable")
        cumulated = np.cumsum(w[order])
        labels = np.empty(len(features), dtype=np.int64)
        labels[order] = np.minimum((k * (cumulated - 0.5 * w[order]) / cumulated[-1]).astype(np.int64), k - 1)
        return labels
    if kind == "knn":
        seeds = _spread(features, w, k)
    elif kind == "random":
        distinct = np.unique(features, axis=0)
        chosen = random.choice(len(distinct), size=k, replace=len(distinct) < k)
        seeds = distinct[chosen]
    else:
        seeds = _drawn(features, w, k, random)
    if kind == "kmeans":
        for _ in range(ROUNDS):
            labels = _nearest(features, seeds)
            moved = seeds.copy()
            for j in range(k):
                mine = labels == j
                if mine.any():
                    moved[j] = (features[mine] * w[mine, None]).sum(axis=0) / w[mine].sum()
            if np.array_equal(moved, seeds):
                break
            seeds = moved
    return _nearest(features, seeds)


def _nearest(features: Array, seeds: Array) -> NDArray[np.int64]:
    best = np.full(len(features), math.inf)
    labels = np.zeros(len(features), dtype=np.int64)
    for j, seed in enumerate(seeds):
        distance = ((features - seed) ** 2).sum(axis=1)
        nearer = distance < best
        labels[nearer], best[nearer] = j, distance[nearer]
    return labels


def _spread(features: Array, w: Array, k: int) -> Array:
    """Seeds far from each other, each where many rows are: the farthest one in a hundred rows is passed over."""
    middle = (features * w[:, None]).sum(axis=0) / w.sum()
    distance = ((features - middle) ** 2).sum(axis=1)
    seeds = [features[_far(distance, w)]]
    distance = ((features - seeds[0]) ** 2).sum(axis=1)
    while len(seeds) < k:
        seeds.append(features[_far(distance, w)])
        distance = np.minimum(distance, ((features - seeds[-1]) ** 2).sum(axis=1))
    return np.array(seeds)


def _far(distance: Array, w: Array) -> int:
    order = np.argsort(distance, kind="stable")
    cumulated = np.cumsum(w[order])
    return int(order[min(int(np.searchsorted(cumulated, 0.97 * cumulated[-1])), len(order) - 1)])


def _drawn(features: Array, w: Array, k: int, random: np.random.Generator) -> Array:
    first = int(random.choice(len(features), p=w / w.sum()))
    seeds = [features[first]]
    distance = ((features - seeds[0]) ** 2).sum(axis=1)
    while len(seeds) < k:
        chance = distance * w
        total = chance.sum()
        chosen = int(random.choice(len(features), p=chance / total if total > 0 else w / w.sum()))
        seeds.append(features[chosen])
        distance = np.minimum(distance, ((features - seeds[-1]) ** 2).sum(axis=1))
    return np.array(seeds)


def _principal(features: Array, w: Array) -> Array:
    centred = features - (features * w[:, None]).sum(axis=0) / w.sum()
    _, vectors = np.linalg.eigh((centred * w[:, None]).T @ centred)
    found: Array = centred @ vectors[:, -1]
    return found


def responsibilities_of(labels: NDArray[np.int64], k: int, faint: float = 0.0) -> Array:
    """One row a branch: nearly 1 where the label is its own; all other rows together weigh 2 `faint` of its own."""
    counts = np.bincount(labels, minlength=k)
    share = 2.0 * faint * np.maximum(counts, 1) / len(labels)
    found = np.repeat(share[:, None], len(labels), axis=1)
    found[labels, np.arange(len(labels))] = 1.0 - (share.sum() - share[labels])
    return found


def small_sets(rows: int, k: int, size: int, random: np.random.Generator) -> Array:
    """Each branch begins with a few rows of its own; all others belong to every branch, faintly."""
    found = np.full((k, rows), 1.0 / k)
    found *= min(1.0, size / max(rows, 1)) * 0.2
    chosen = random.permutation(rows)[: k * size]
    for place, row in enumerate(chosen):
        found[:, row] = 0.0
        found[place % k, row] = 1.0
    return found


def starts(
    kind: str | None,
    count: int,
    features: Array,
    weights: Array | None,
    k: int,
    own: int,
    rotate: bool,
    random: np.random.Generator,
) -> Iterator[tuple[str, Array]]:
    """Names and responsibilities to start from, without end after the first `count`: those are drawn at random.

    `own` is the number of parameters of a branch, `rotate` whether it matters which branch has which rows.
    """
    order = (kind,) if kind is not None else ("quantiles", "kmeans", "knn", "kmeans++")
    made = 0
    while True:
        if kind is not None:
            name = kind
        elif made < len(order) * (k if rotate else 1):
            name = str(order[made // (k if rotate else 1)])
        else:
            name = "random" if made % 2 else "small sets"
        if name == "small sets":
            yield name, small_sets(len(features), k, own + 1, random)
        elif kind is not None and made > 0 and kind in ("quantiles", "knn"):
            labels = labels_of(kind, features, weights, k, random)  # the same again: some rows change sides
            stray = random.random(len(labels)) < 0.25
            labels[stray] = random.integers(0, k, int(stray.sum()))
            yield f"{kind}, disturbed", responsibilities_of(labels, k, FAINT)
        else:
            labels = labels_of(name, features, weights, k, random)
            if rotate:
                labels = (labels + made) % k
            yield name, responsibilities_of(labels, k, FAINT)
        made += 1


__all__ = ["KINDS", "features_of", "labels_of", "responsibilities_of", "scale_of", "starts"]
