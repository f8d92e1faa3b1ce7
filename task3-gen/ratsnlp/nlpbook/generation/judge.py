"""A polarity classifier: it tells positive reviews from negative ones."""

from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import whole_file
from ..paths import BUNDLED_DATA
from .features import GenerationExample


class PolarityJudge:
    """Tells 긍정 from 부정: logistic regression over the character n-grams (1 to 5, within words) of a text.

    Source: Wang & Manning (2012), "Baselines and bigrams: simple, good sentiment and topic classification".
    ``coefficients`` has one for each bucket that an n-gram is hashed to.
    """

    FEATURES = 2**20  # buckets of a judge that is learnt here

    def __init__(self, coefficients: np.ndarray, intercept: float):
        self.coefficients, self.intercept = coefficients, intercept

    @classmethod
    def fit(cls, examples: Sequence[GenerationExample], folder: str | Path | None = None,
            features: int = FEATURES) -> "PolarityJudge":
        """Train on ``examples``, or load from ``folder`` what was trained on the same ones.

        Raises:
            UserError: the examples are not of both kinds.
        """
        if len(set(polarities(examples))) < 2:
            raise UserError("분류기를 만들려면 학습용 리뷰에 긍정과 부정이 모두 있어야 합니다.")
        digest = sha256("\n".join([str(features), *(example.text for example in examples)]).encode()).hexdigest()
        file = Path(folder, f"{digest[:16]}.npz") if folder else None
        if file and file.is_file():
            return cls.load(file)
        from sklearn.linear_model import LogisticRegression

        learnt = LogisticRegression(C=8, max_iter=1000).fit(
            _ngrams((example.own_text for example in examples), features), polarities(examples))
        judge = cls(learnt.coef_[0].astype(np.float32), float(learnt.intercept_[0]))
        if file:
            judge.save(file)
        return judge

    @classmethod
    def load(cls, file: str | Path = BUNDLED_DATA / "judge" / "judge.npz") -> "PolarityJudge":
        """Load what :meth:`save` wrote. The bundled one was trained on NSMC's training reviews."""
        with np.load(file) as kept:
            return cls(kept["coefficients"], float(kept["intercept"]))

    @classmethod
    @cache
    def bundled(cls) -> "PolarityJudge":
        """The classifier that ships with the repository, loaded once."""
        return cls.load()

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as unfinished, open(unfinished, "wb") as opened:
            np.savez_compressed(opened, coefficients=self.coefficients, intercept=self.intercept)

    def log_odds(self, texts: Iterable[str]) -> np.ndarray:
        """ln p(긍정) - ln p(부정) of each of N texts: (N,)."""
        return _ngrams(texts, len(self.coefficients)) @ self.coefficients.astype(np.float32) + self.intercept

    def says_positive(self, texts: Iterable[str]) -> np.ndarray:
        """Whether each of N texts is 긍정: (N,)."""
        return self.log_odds(texts) > 0


def _ngrams(texts: Iterable[str], features: int):
    """Which n-grams each of N texts holds: a sparse matrix of 0 and 1, (N, ``features``)."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer="char_wb", ngram_range=(1, 5), n_features=features, binary=True, alternate_sign=False,
    ).transform(texts)


def polarities(examples: Iterable[GenerationExample]) -> np.ndarray:
    """Whether each of N examples is 긍정: (N,)."""
    return np.asarray([example.control.startswith("긍정") for example in examples])
