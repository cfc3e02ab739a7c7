"""Motif search without a network: scanning with known matrices, and regression on gapped k-mers.

Both learn from the training sequences, predict the test sequences, and attribute their own
prediction to positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import logsumexp

from priorbench.components.task import Task
from priorbench.data.codes import TRAIN, VALID
from priorbench.data.dataset import Dataset
from priorbench.encoding import N_CODE

MOTIF_SCAN, KMERS = "motif-scan", "gapped-kmers"
"""names of the reference rows"""
_PSEUDOCOUNT = 1e-4
_MOST_BASES = 3_000_000
"""largest number of bases of a split that is learnt from, or that chooses a penalty"""
_HALF, _GAPS = 3, 7
"""bases of each word of a gapped k-mer, and number of gaps between the two words"""
_WORDS = 4**_HALF
_FEATURES = _WORDS * _WORDS
_ENRICHED = 2000
"""number of gapped k-mers that are kept"""
_PENALTIES = (0.01, 0.1, 1.0)
_CHUNK_BASES = 1 << 20

T = TypeVar("T")
Codes = NDArray[np.uint8]
_Features = Callable[[Codes], sparse.csr_array]


@dataclass(frozen=True)
class MotifSearch:
    """The result of a motif search.

    Attributes:
        logit: logits of the scored rows, in the shape of the task's ``predictions``, or None where
            labels are not 0 and 1.
        attribution: (M, L) float32 attribution of the attributed sequences.
        activity: function of (k, L) codes that gives the (k,) value which is attributed: the task's
            target, or the sum of the motifs' occupancies where nothing was fitted.
    """

    logit: NDArray[np.float32] | None
    attribution: NDArray[np.float32]
    activity: Callable[[Codes], NDArray[np.float64]]


def search_motifs(dataset: Dataset, task: Task) -> dict[str, MotifSearch]:
    """Return the motif searches that these data allow, by name.

    Scanning needs known motifs. Regression needs labels of 0 and 1; without them scanning does not
    predict, and its attribution weighs all motifs alike.
    """
    searches = {}
    labelled = "logit" in task.chance(dataset)
    motifs = [m for m in dataset.motifs.values() if m.shape[1] <= dataset.length]
    if motifs:
        searches[MOTIF_SCAN] = motif_scan(dataset, task, motifs, labelled=labelled)
    if labelled and dataset.length >= 2 * _HALF + _GAPS:
        searches[KMERS] = gapped_kmers(dataset, task)
    return searches


def motif_scan(
    dataset: Dataset, task: Task, motifs: Sequence[NDArray[np.float64]], *, labelled: bool
) -> MotifSearch:
    """Return logits and attributions of a logistic regression on the occupancy of known motifs.

    The feature of a motif is s = log(1 + mean_w exp(sum_i log(p_i(x_i) / 0.25))), over all places
    w, on both strands of DNA: the odds of one instance somewhere against none (zero or one
    occurrence per sequence, Bailey & Elkan 1994). A position's attribution is its log-odds in the
    places that cover it, weighed by the probability that the instance is there, times the motif's
    weight in the regression.

    Args:
        dataset: sequences and labels.
        task: the task, whose target the attribution explains.
        motifs: known motifs, (4, width) probabilities.
        labelled: whether labels are 0 and 1; otherwise nothing is fitted, there are no logits, and
            the attribution weighs all motifs alike.
    """
    tables = [_log_odds(motif) for motif in motifs]
    both = type(task).reverse_complement
    tracks = _occupancy_tracks(dataset.codes(dataset.attributed), tables, both_strands=both)
    if not labelled:
        summed = tracks.sum(axis=0).astype(np.float32)
        return MotifSearch(None, summed, lambda codes: _occupancy(codes, tables, both).sum(axis=1))

    def features(codes: Codes) -> sparse.csr_array:
        return sparse.csr_array(_occupancy(codes, tables, both))

    model = _fit(dataset, features)
    attribution = np.tensordot(model.of_target(task), tracks, axes=1)
    return MotifSearch(
        _test_logits(dataset, model, features),
        attribution.astype(np.float32),
        lambda codes: features(codes) @ model.of_target(task),
    )


def _log_odds(motif: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (width, 5) natural log of probability over 0.25; 0 for an unknown base."""
    odds = np.log((motif.T + _PSEUDOCOUNT) / (1 + 4 * _PSEUDOCOUNT) / 0.25)
    return np.concatenate([odds, np.zeros((len(odds), 1))], axis=1)


def _strands(table: NDArray[np.float64], both_strands: bool) -> list[NDArray[np.float64]]:
    return [table, table[::-1, [3, 2, 1, 0, 4]]] if both_strands else [table]


def _scores(codes: Codes, table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (N, L - width + 1) log-odds of a motif at every place."""
    places = codes.shape[1] - len(table) + 1
    score = np.zeros((len(codes), places))
    for column, odds in enumerate(table):
        score += odds[codes[:, column : column + places]]
    return score


def _occupancy(
    codes: Codes, tables: Sequence[NDArray[np.float64]], both_strands: bool
) -> NDArray[np.float64]:
    """Return the (N, motifs) log of 1 + the mean odds over all places."""
    columns = []
    for table in tables:
        scores = [_scores(codes, strand) for strand in _strands(table, both_strands)]
        nowhere = np.full((len(codes), 1), _log_places(codes, table, both_strands))
        columns.append(
            logsumexp(np.concatenate([*scores, nowhere], axis=1), axis=1) - nowhere[:, 0]
        )
    return np.stack(columns, axis=1)


def _log_places(codes: Codes, table: NDArray[np.float64], both_strands: bool) -> float:
    """Return the log of the number of places of a motif."""
    return float(np.log((codes.shape[1] - len(table) + 1) * (2 if both_strands else 1)))


def _occupancy_tracks(
    codes: Codes, tables: Sequence[NDArray[np.float64]], *, both_strands: bool
) -> NDArray[np.float64]:
    """Return (motifs, N, L) log-odds of the bases, weighed by the places that cover them."""
    tracks = np.zeros((len(tables), *codes.shape))
    total = _occupancy(codes, tables, both_strands)
    for track, table, sums in zip(tracks, tables, total.T, strict=True):
        all_places = sums[:, None] + _log_places(codes, table, both_strands)
        for strand in _strands(table, both_strands):
            share = np.exp(_scores(codes, strand) - all_places)
            places = share.shape[1]
            for column, odds in enumerate(strand):
                inside = slice(column, column + places)
                track[:, inside] += share * odds[codes[:, inside]]
    return tracks


def gapped_kmers(dataset: Dataset, task: Task) -> MotifSearch:
    """Return logits and attributions of a logistic regression on counts of gapped k-mers.

    A gapped k-mer is a pair of words of three bases with a gap of 0 to 6 between them; on DNA a
    pair and its reverse complement are one. The 2,000 pairs with the largest chi-squared between
    classes in the training sequences are kept; the L2 penalty is the one with the best validation
    loss. A position's attribution is the sum, over the occurrences that cover it, of their weight,
    which six bases share. The features are those of Ghandi et al. (2014), with regression in the
    place of their kernel.
    """
    both = type(task).reverse_complement
    features = partial(_kmer_counts, both_strands=both)
    model = _fit(dataset, features)
    codes = dataset.codes(dataset.attributed)
    of_target = model.of_target(task)
    weights = of_target / (2 * _HALF)
    track = np.zeros(codes.shape)
    for gap in range(_GAPS):
        pair = _pairs(codes, gap, both)
        value = np.where(pair >= 0, weights[gap * _FEATURES + np.maximum(pair, 0)], 0.0)
        for offset in [*range(_HALF), *range(_HALF + gap, 2 * _HALF + gap)]:
            track[:, offset : offset + value.shape[1]] += value
    return MotifSearch(
        _test_logits(dataset, model, features),
        track.astype(np.float32),
        lambda codes: features(codes) @ of_target,
    )


def _pairs(codes: Codes, gap: int, both_strands: bool) -> NDArray[np.int64]:
    """Return the (N, L - 5 - gap) number of the pair at every start; -1 with an unknown base."""
    places = codes.shape[1] - _HALF + 1
    word = np.zeros((len(codes), places), dtype=np.int64)
    known = np.ones(word.shape, dtype=bool)
    turned = np.zeros_like(word)
    for column in range(_HALF):
        base = codes[:, column : column + places].astype(np.int64)
        known &= base != N_CODE
        word += base * 4 ** (_HALF - 1 - column)
        turned += (3 - base) * 4**column
    step, count = _HALF + gap, places - _HALF - gap
    pair = word[:, :count] * _WORDS + word[:, step : step + count]
    if both_strands:
        other = turned[:, step : step + count] * _WORDS + turned[:, :count]
        pair = np.minimum(pair, other)
    return np.where(known[:, :count] & known[:, step : step + count], pair, -1)


def _kmer_counts(codes: Codes, both_strands: bool) -> sparse.csr_array:
    """Return the (N, gaps x pairs) float32 counts of gapped k-mers."""
    parts = []
    for gap in range(_GAPS):
        pair = _pairs(codes, gap, both_strands)
        row, place = np.nonzero(pair >= 0)
        column = pair[row, place]
        ones = np.ones(len(row), dtype=np.float32)
        parts.append(sparse.csr_array((ones, (row, column)), shape=(len(codes), _FEATURES)))
    return sparse.csr_array(sparse.hstack(parts, format="csr"))


@dataclass(frozen=True)
class _Regression:
    """K logistic regressions: (K, features) weights, 0 where not kept, and (K,) intercepts."""

    weight: NDArray[np.float64]
    intercept: NDArray[np.float64]

    def logit(self, features: sparse.csr_array) -> NDArray[np.float64]:
        """Return the (N, K) logits of (N, features)."""
        return np.asarray(features @ self.weight.T) + self.intercept

    def of_target(self, task: Task) -> NDArray[np.float64]:
        """Return the (features,) weights in the task's target, which is linear in the logits."""
        target = task.target(torch.from_numpy(np.ascontiguousarray(self.weight.T)))
        return np.asarray(target.numpy(), dtype=np.float64)


def _fit(dataset: Dataset, features: _Features) -> _Regression:
    """Fit logistic regressions of the labels; outputs that lack a class keep a logit of 0."""
    from sklearn.feature_selection import chi2
    from sklearn.preprocessing import MaxAbsScaler

    train, label = _examples(dataset, TRAIN, features)
    valid, valid_label = _examples(dataset, VALID, features)
    count = train.shape[1]
    kept = np.arange(count)
    if count > _ENRICHED:
        strength = np.max([np.nan_to_num(chi2(train, y)[0]) for y in label.T], axis=0)
        kept = np.sort(np.argsort(-strength, kind="stable")[:_ENRICHED])
    scaler = MaxAbsScaler().fit(train[:, kept])
    train, valid = scaler.transform(train[:, kept]), scaler.transform(valid[:, kept])
    weight, intercept = np.zeros((label.shape[1], count)), np.zeros(label.shape[1])
    for output in np.flatnonzero(label.min(axis=0) < label.max(axis=0)).tolist():
        model = _best_model((train, label[:, output]), (valid, valid_label[:, output]))
        weight[output, kept] = model.coef_[0] / scaler.scale_
        intercept[output] = model.intercept_[0]
    return _Regression(weight, intercept)


def _best_model(train: tuple[Any, Any], valid: tuple[Any, Any]) -> Any:
    """Return the logistic regression with the L2 penalty whose validation loss is lowest."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    models = [LogisticRegression(C=c, max_iter=1000).fit(*train) for c in _PENALTIES]
    features, label = valid
    losses = [log_loss(label, m.predict_proba(features)[:, 1], labels=[0, 1]) for m in models]
    return models[int(np.argmin(losses))]


def _examples(
    dataset: Dataset, split: int, features: _Features
) -> tuple[sparse.csr_array, NDArray[np.float32]]:
    """Return features and (n, K) labels of a split; of evenly spaced rows, if it is too large."""
    rows = dataset.rows(split)
    most = max(2, _MOST_BASES // dataset.length)
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(int)]
    label = dataset.columns["label"].take(rows)
    parts = _in_chunks(dataset, rows, features)
    return sparse.csr_array(sparse.vstack(parts, format="csr")), label.reshape(len(rows), -1)


def _in_chunks(
    dataset: Dataset, rows: NDArray[np.int64], function: Callable[[Codes], T]
) -> list[T]:
    step = max(1, _CHUNK_BASES // dataset.length)
    return [function(dataset.codes(rows[at : at + step])) for at in range(0, len(rows), step)]


def _test_logits(dataset: Dataset, model: _Regression, features: _Features) -> NDArray[np.float32]:
    """Return the (N,) or (N, K) logits of the scored rows, as in the task's ``predictions``."""
    rows = dataset.scored_rows
    parts = _in_chunks(dataset, rows, lambda codes: model.logit(features(codes)))
    logit = np.concatenate(parts)
    return logit.reshape(len(rows), *dataset.columns["label"].shape[1:]).astype(np.float32)
