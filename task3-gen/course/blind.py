"""A blind comparison by a class: which of two texts has a person written? The page's server, votes and tally
(``topic_blind.py``)."""

from __future__ import annotations

import csv
import hashlib
import math
import random
import re
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ratsnlp.nlpbook.errors import UserError
from ratsnlp.nlpbook.evaluation.metrics import mean_interval, syllables, wilson_interval
from ratsnlp.nlpbook.paths import TEMPLATES

from .spreadsheet import cell

if TYPE_CHECKING:
    from flask import Flask

HEADER = ("time", "voter", "pair", "place", "right", "word", "human", "model")
UNLIKE = 0.2  # of the longer text: how much longer it may be. Length gives a text away.
SHORTEST = 8  # syllables: shorter reviews are the same from either
MAX_BODY = 16 * 1024  # bytes
_VOTER = re.compile(r"[0-9a-f]{16}")


class Pair(NamedTuple):
    word: str
    human: str
    model: str


class Vote(NamedTuple):
    voter: str
    pair: int  # its index
    right: bool


def make_pairs(human: dict[str, list[str]], written: dict[str, list[str]], count: int, seed: int) -> list[Pair]:
    """``count`` pairs of a review and a text of the model with the same control word and about the same length, as
    many of each word as can be; no text stands in two of them.

    Raises:
        UserError: there are not so many.
    """
    draw, found, reviews = random.Random(seed), [], set().union(*human.values())
    for word in human:
        left = {text for text in written[word]  # ", 별로였어요" follows the control word, which is not shown
                if len(syllables(text)) >= SHORTEST and text[0].isalnum()} - reviews
        left, pairs = sorted(left), []
        for review in draw.sample(human[word], len(human[word])):
            size = len(syllables(review))
            fits = [text for text in left
                    if abs(len(syllables(text)) - size) <= UNLIKE * max(len(syllables(text)), size)]
            if size >= SHORTEST and fits:
                left.remove(chosen := draw.choice(fits))
                pairs.append(Pair(word, review, chosen))
        found.append(pairs)
    mixed = list(chain.from_iterable(zip(*found, strict=False)))
    mixed += [pair for pairs in found for pair in pairs if pair not in mixed]
    if len(mixed) < count:
        raise UserError(f"pairs: 길이가 비슷한 짝이 {len(mixed)}개뿐인데 {count}입니다. --samples를 늘리세요.")
    return mixed[:count]


@dataclass
class Tally:
    """What a class has chosen: the share that is right, under three assumptions of what is independent."""

    votes: list[Vote]
    pairs: Sequence[Pair]

    def shares(self, which: str) -> dict[Any, tuple[int, int]]:
        """Of each ``voter`` or ``pair`` that has votes: how many were right, of how many."""
        found = {}
        for vote in self.votes:
            right, trials = found.get(getattr(vote, which), (0, 0))
            found[getattr(vote, which)] = right + vote.right, trials + 1
        return found

    @property
    def right(self) -> int:
        return sum(vote.right for vote in self.votes)

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Of the share that is right: Wilson's over all votes, and Student's t over the shares of voters and of
        pairs, as votes of one voter, or on one pair, are more alike than others."""
        found = {"표마다": wilson_interval(self.right, len(self.votes))}
        for name, which in (("사람마다", "voter"), ("짝마다", "pair")):
            _, low, high = mean_interval([right / trials for right, trials in self.shares(which).values()])
            found[name] = max(low, 0.0), min(high, 1.0)
        return found

    def described(self) -> dict[str, Any]:
        """As the page takes it."""
        by_pair = self.shares("pair")
        pairs = [{"word": pair.word, "human": pair.human, "model": pair.model, "right": by_pair[number][0],
                  "votes": by_pair[number][1]} for number, pair in enumerate(self.pairs) if number in by_pair]
        return {
            "votes": len(self.votes), "right": self.right,
            "voters": sorted(right / trials for right, trials in self.shares("voter").values()),
            "intervals": [{"name": name, "low": low, "high": high, "holds_half": low <= 0.5 <= high}
                          for name, (low, high) in self.intervals().items()],
            "needed": votes_to_see(0.55), "pairs": sorted(pairs, key=lambda pair: pair["right"] / pair["votes"])}

    def __str__(self):
        if not self.votes:
            return "아직 고른 사람이 없습니다."
        voters = len(self.shares("voter"))
        lines = [f"{voters}명이 {len(self.votes)}번 골라 {self.right}번 맞혔습니다: {self.right / len(self.votes):.1%}"]
        for name, (low, high) in self.intervals().items():
            half = "50%가 들어 있음" if low <= 0.5 <= high else "50%가 들어 있지 않음"
            lines.append(f"  95% 신뢰 구간, {name} 독립이라고 보면: {low:.1%}~{high:.1%} ({half})")
        hardest = min(self.shares("pair").items(), key=lambda item: item[1][0] / item[1][1])
        pair, (right, trials) = self.pairs[hardest[0]], hardest[1]
        lines += [f"가장 많이 속은 짝({trials}명 가운데 {trials - right}명이 틀림)", f"  사람: {pair.human}",
                  f"  모델: {pair.model}",
                  f"정답률이 55%라는 것을 80%의 확률로 알아내려면 서로 독립인 표가 {votes_to_see(0.55)}개 필요합니다."]
        return "\n".join(lines)


def votes_to_see(share: float, power: float = 0.841621, z: float = 1.959964) -> int:
    """How many independent votes tell ``share`` from one half with 95 % confidence in 80 % of cases. Source: Fleiss,
    Levin & Paik (2003), "Statistical methods for rates and proportions", section 2.5."""
    return math.ceil(((z * 0.5 + power * math.sqrt(share * (1 - share))) / (share - 0.5)) ** 2)


class Votes:
    """The votes on ``pairs``, each written to the CSV ``file`` as it comes; those that are there already count where
    their pair is one of these.

    Raises:
        UserError: the file cannot be read or written, or is none of these.
    """

    def __init__(self, pairs: Sequence[Pair], file: str | Path):
        self.pairs, self.file = list(pairs), Path(file)
        self.texts = {text: (number, text == pair.human)
                      for number, pair in enumerate(self.pairs) for text in (pair.human, pair.model)}
        self._key, self._lock = secrets.token_hex(8), threading.Lock()
        self._votes: dict[tuple[str, int], Vote] = {}
        try:
            self._read()
        except OSError as error:
            raise UserError(f"votes: {self.file} 파일에 쓸 수 없습니다({error.strerror}).") from error

    def _read(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with open(self.file, "a+", encoding="utf-8-sig", newline="") as file:
            file.seek(0)
            try:
                rows = list(csv.reader(file))
            except (UnicodeDecodeError, csv.Error):
                rows = [["?"]]
            if not rows:
                csv.writer(file).writerow(HEADER)
            elif tuple(rows[0]) != HEADER:
                raise UserError(f"votes: {self.file} 파일은 여기에서 만든 것이 아닙니다. 다른 이름을 지정하세요.")
        numbers = {(cell(pair.human), cell(pair.model)): number for number, pair in enumerate(self.pairs)}
        for row in rows[1:]:
            number = numbers.get(tuple(row[-2:])) if len(row) == len(HEADER) else None
            if number is not None:
                self._votes[row[1], number] = Vote(row[1], number, row[4] == "1")

    def of(self, voter: str) -> list[Vote]:
        return [vote for vote in list(self._votes.values()) if vote.voter == voter]  # others may be voting

    def next_pair(self, voter: str) -> tuple[int, list[str]] | None:
        """The pair that ``voter`` has not voted on and comes next in the voter's own order, its texts in the voter's
        own order as well."""
        left = [number for number in range(len(self.pairs)) if (voter, number) not in self._votes]
        if not left:
            return None
        number = min(left, key=lambda each: self._drawn(voter, each))
        pair = self.pairs[number]
        texts = [pair.human, pair.model]
        return number, texts if self._drawn(voter, number, "place")[-1] in "02468ace" else texts[::-1]

    def _drawn(self, *what) -> str:
        return hashlib.sha256(" ".join(map(str, (self._key, *what))).encode()).hexdigest()

    def add(self, voter: str, text, place) -> None:
        """Count that ``voter`` takes ``text``, at ``place`` (0, 1), for a person's.

        Raises:
            UserError: no such text or place, or the voter has chosen in that pair before.
            OSError: the file cannot be written to; then the vote does not count.
        """
        if type(place) is not int or place not in (0, 1):
            raise UserError(f"place: 0이나 1이어야 하는데 {str(place)[:40]!r}입니다.")
        if not isinstance(text, str) or text not in self.texts:
            raise UserError("text: 보여 준 두 텍스트 가운데 하나여야 합니다. 페이지를 새로 고치세요.")
        number, right = self.texts[text]
        pair = self.pairs[number]
        with self._lock:
            if (voter, number) in self._votes:
                raise UserError("이 짝에서는 이미 골랐습니다. 페이지를 새로 고치면 다음 짝이 나옵니다.")
            with open(self.file, "a", encoding="utf-8-sig", newline="") as file:
                csv.writer(file).writerow([
                    datetime.now().isoformat(timespec="seconds"), voter, number + 1, "AB"[place], int(right), pair.word,
                    cell(pair.human), cell(pair.model)])
            self._votes[voter, number] = Vote(voter, number, right)

    def tally(self) -> Tally:
        return Tally(list(self._votes.values()), self.pairs)


def blind_app(votes: Votes) -> Flask:
    """``GET /`` is the page; ``GET /api/pair`` two texts, ``POST /api/vote`` the one that is taken for a person's, and
    ``GET /api/tally`` what the class has chosen, for those who have chosen everywhere.

    Bad input is HTTP 400 with ``error``, one Korean line.
    """
    from ratsnlp.nlpbook.serving.app import http_message, read_json
    from ratsnlp.nlpbook.serving.page import add_page_files

    from flask import Flask, jsonify, make_response, render_template, request
    from werkzeug.exceptions import HTTPException

    app = Flask(__name__, template_folder=str(TEMPLATES), static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.ensure_ascii, app.json.sort_keys = False, False

    def cookie() -> str:
        return f"voter_{request.environ.get('SERVER_PORT', '')}"  # a browser sends a cookie to all ports

    def voter() -> str:
        found = request.cookies.get(cookie(), "")
        if not _VOTER.fullmatch(found):
            raise UserError("누가 고르는지 알 수 없습니다. 쿠키를 허용하고 페이지를 새로 고치세요.")
        return found

    @app.get("/")
    def page():
        response = make_response(render_template("blind.html"))
        if not _VOTER.fullmatch(request.cookies.get(cookie(), "")):
            response.set_cookie(cookie(), secrets.token_hex(8), max_age=7 * 24 * 3600, httponly=True, samesite="Lax")
        return response

    add_page_files(app, "blind.html")

    @app.get("/api/pair")
    def pair():
        done, found = len(votes.of(voter())), votes.next_pair(voter())
        return jsonify(done=done, of=len(votes.pairs), texts=found and found[1])

    @app.post("/api/vote")
    def vote():
        chosen = read_json()
        if not isinstance(chosen, dict):
            raise UserError("요청은 text와 place가 든 JSON 객체여야 합니다.")
        try:
            votes.add(voter(), chosen.get("text"), chosen.get("place"))
        except OSError as error:
            return jsonify(error=f"{votes.file.name}에 저장하지 못했습니다({error.strerror}). 엑셀에서 열어 두었다면 "
                           "닫고 다시 고르세요."), 503
        return pair()

    @app.get("/api/tally")
    def tally():
        own = votes.of(voter())
        if len(own) < len(votes.pairs):
            raise UserError(f"짝 {len(votes.pairs)}개를 모두 고른 다음에 볼 수 있습니다. 지금까지 {len(own)}개입니다.")
        return jsonify(own=sum(vote.right for vote in own), of=len(own),
                       own_right=[votes.pairs[vote.pair].human for vote in own if vote.right],
                       **votes.tally().described())

    @app.after_request
    def safe(response):
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @app.errorhandler(UserError)
    def bad_input(error):
        return jsonify(error=str(error)), 400

    @app.errorhandler(HTTPException)
    def http_error(error):
        return jsonify(error=http_message(error)), error.code

    return app
