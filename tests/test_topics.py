"""The scripts on the course's further topics, and what they stand on: intervals, the filter's data, the blind page."""

import csv
import io
import json
import math
import re
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from helpers import Served, chromium, listening, run_script, text_of, user_error, wait

from course.blind import HEADER, Pair, Tally, Vote, Votes, blind_app, make_pairs, votes_to_see
from course.filtering import DISGUISES, LabelledText, WordFilter, disguised, read_labelled
from course.topics import BiasArguments, TopicArguments, false_alarms, share
from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.evaluation.metrics import difference_interval, mean_interval, syllables, wilson_interval
from ratsnlp.nlpbook.generation import NsmcCorpus
from ratsnlp.nlpbook.paths import BUNDLED_DATA

# Intervals


def test_newcombes_interval_of_a_difference():
    """The cases of his table II: method 10."""
    for first, second, interval in (
            ((56, 70), (48, 80), (0.0524, 0.3339)), ((9, 10), (3, 10), (0.1705, 0.8090)),
            ((5, 56), (0, 29), (-0.0381, 0.1926)), ((10, 10), (0, 20), (0.6791, 1)),
            ((0, 10), (0, 20), (-0.1611, 0.2775))):
        assert difference_interval(*first, *second) == pytest.approx(interval, abs=5e-5)
    low, high = difference_interval(30, 100, 45, 100)
    assert difference_interval(45, 100, 30, 100) == pytest.approx((-high, -low))
    assert difference_interval(30, 100, 45, 100, z=2.6)[0] < low


def test_the_interval_of_a_mean_is_students():
    assert mean_interval([1, 2, 3]) == pytest.approx((2, 2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)))
    assert mean_interval([0.4]) == (0.4, -math.inf, math.inf)
    assert math.isnan(mean_interval([])[0])


def test_chance_alone_leaves_zero_out_once_in_twenty():
    assert 0.01 < false_alarms([True, False] * 100) < 0.09
    assert share(0, 30) == "0% (0~11)"


# The filter


def test_the_labelled_texts_are_as_their_readme_counts_them():
    texts = {split: read_labelled(split) for split in ("train", "test")}
    readme = (BUNDLED_DATA / "filter" / "README.md").read_text(encoding="utf-8")
    for split, name in (("train", "학습용"), ("test", "테스트용")):
        counted = Counter((text.source, text.rude) for text in texts[split])
        cells = [counted["human", False], counted["human", True], counted["model", False], counted["model", True]]
        assert f"| {name} | {' | '.join(map(str, [*cells, sum(cells)]))} |" in readme
    every = texts["train"] + texts["test"]
    assert f"텍스트 {len(every)}개" in readme
    assert len({text.text for text in every}) == len(every)
    assert sum(text.rude for text in every) / len(every) >= 0.25
    assert all(bool(text.words) == text.rude and all(word in text.text for word in text.words) for text in every)
    reviews = {example.own_text for example in NsmcCorpus().get_examples(BUNDLED_DATA / "mini", "train")}
    assert all(text.text in reviews for text in every if text.source == "human")
    assert {text.source for text in texts["test"]} == {"model"}


def test_a_labelled_text_that_is_none_is_told_with_its_place(tmp_path):
    file = tmp_path / "texts.tsv"
    file.write_text("text\tlabel\tsource\tsplit\twords\n좋아요\t0\thuman\ttest\t\n별로\t2\thuman\ttest\t\n",
                    encoding="utf-8")
    with pytest.raises(UserError, match="texts.tsv 3번째 줄: .*label은 0이나 1이어야"):
        read_labelled("test", file)


def test_a_list_finds_what_is_spaced_and_marked_and_no_more():
    words = WordFilter(["바보"])
    assert words.finds(["이 바보야", "바1보", "바 보", "바.보", "바ㅋ보"]) == [True] * 5
    assert words.finds(["바다 보기", "도바 보다", "바나나보", "비보"]) == [False] * 4
    assert words.finds(["바보"]) == [True]  # decomposed
    assert WordFilter.load().finds(["개봉일에 봤다", "아재개그", "시대를 발견한 영화", "미친 연기"]) == [False] * 4


def test_rude_expressions_are_masked_and_disguised():
    text = LabelledText("이 바보 멍텅구리야", True, "model", ("멍텅구리",))
    assert WordFilter(["바보"]).masked(text) == "이 바○ 멍○○○야"
    assert [disguised(text, how) for how in DISGUISES] == [
        "이 바보 멍텅구리야", "이 바보 멍.텅.구.리야", "이 바보 멍 텅 구 리야", "이 바보 ㅁㅓㅇㅌㅓㅇㄱㅜㄹㅣ야"]


# The blind page


PAIRS = [Pair("긍정", "배우들이 참 좋았어요", "영화가 정말 좋았어요"),
         Pair("부정", "=지루해서 혼났습니다", "별로여서 실망했습니다"),
         Pair("긍정", "다시 보고 싶은 영화", "너무 멋진 영화예요")]


@pytest.fixture
def votes(tmp_path):
    return Votes(PAIRS, tmp_path / "반" / "votes.csv")


def voter(votes):
    client = blind_app(votes).test_client()
    client.get("/")
    return client


def test_pairs_are_alike_in_length_and_word_and_hold_no_text_twice():
    human = {"긍정": ["가" * size for size in range(4, 40)], "부정": ["나" * size for size in range(8, 30)]}
    written = {"긍정": [*("다" * size for size in range(4, 90, 2)), "가" * 20, f", {'다' * 10}"],
               "부정": ["라" * size for size in range(8, 30)]}
    pairs = make_pairs(human, written, 20, seed=1)
    backwards = {word: texts[::-1] for word, texts in written.items()}
    assert pairs == make_pairs(human, backwards, 20, seed=1) != make_pairs(human, written, 20, seed=2)
    texts = [text for pair in pairs for text in pair[1:]]
    assert len(set(texts)) == 40
    assert Counter(pair.word for pair in pairs) == {"긍정": 10, "부정": 10}
    for pair in pairs:
        sizes = sorted(len(syllables(text)) for text in pair[1:])
        assert sizes[0] >= 8
        assert sizes[1] - sizes[0] <= 0.2 * sizes[1]
        assert pair.human in human[pair.word]
        assert pair.model in written[pair.word]
        assert pair.model[0] != ","
    with pytest.raises(UserError, match=r"pairs: .* --samples를 늘리세요"):
        make_pairs(human, written, 400, seed=1)


def test_a_round_is_counted_and_kept(votes):
    client = voter(votes)
    shown = []
    while texts := client.get("/api/pair").json["texts"]:
        shown.append(texts)
        answer = client.post("/api/vote", json={"text": texts[0], "place": 0})
        assert answer.status_code == 200
    assert {frozenset(texts) for texts in shown} == {frozenset(pair[1:]) for pair in PAIRS}
    right = sum(texts[0] in {pair.human for pair in PAIRS} for texts in shown)
    told = client.get("/api/tally").json
    assert (told["own"], told["of"], told["votes"], told["right"], told["voters"]) == (right, 3, 3, right, [right / 3])
    assert told["intervals"][0] == {
        "name": "표마다", "low": pytest.approx(wilson_interval(right, 3)[0]),
        "high": pytest.approx(wilson_interval(right, 3)[1]), "holds_half": True}
    data = votes.file.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")  # Excel takes it for UTF-8
    assert data.count(b"\xef\xbb\xbf") == 1
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    assert rows[0] == list(HEADER)
    assert len(rows) == 4
    assert "'=지루해서 혼났습니다" in {row[6] for row in rows}  # no formula
    again = Votes(PAIRS, votes.file)  # after a restart
    assert Counter(again.tally().votes) == Counter(votes.tally().votes)
    assert Votes([Pair("긍정", "다른 사람의 리뷰", "다른 모델의 리뷰")], votes.file).tally().votes == []


def test_nobody_votes_twice_on_a_pair_and_nobody_sees_the_tally_before_the_end(votes):
    client = voter(votes)
    texts = client.get("/api/pair").json["texts"]
    assert client.post("/api/vote", json={"text": texts[0], "place": 0}).status_code == 200
    for text in texts:
        answer = client.post("/api/vote", json={"text": text, "place": 1})
        assert (answer.status_code, "이미 골랐습니다" in answer.json["error"]) == (400, True)
    answer = client.get("/api/tally")
    assert (answer.status_code, "지금까지 1개" in answer.json["error"]) == (400, True)
    assert len(votes.tally().votes) == 1
    assert voter(votes).post("/api/vote", json={"text": texts[0], "place": 0}).status_code == 200  # another one may


@pytest.mark.parametrize(("body", "error"), [
    ({"text": "없는 텍스트", "place": 0}, "text: "), ({"text": ["가"], "place": 0}, "text: "), ({"place": 0}, "text: "),
    ({"text": PAIRS[0].human, "place": 2}, "place: 0이나 1"), ({"text": PAIRS[0].human, "place": True}, "place: "),
    ({"text": PAIRS[0].human}, "place: "), ([], "JSON 객체"), ("가", "JSON 객체")])
def test_bad_input_is_one_korean_line(votes, body, error):
    answer = voter(votes).post("/api/vote", json=body)
    assert answer.status_code == 400
    assert error in answer.json["error"]
    assert "\n" not in answer.json["error"]
    assert votes.tally().votes == []


def test_what_is_no_request_of_the_page(votes):
    client = voter(votes)
    assert client.post("/api/vote", data="{", content_type="application/json").status_code == 400
    assert client.post("/api/vote", data="x" * 20_000, content_type="application/json").status_code == 413
    assert client.get("/blind/blind.html").status_code == 404
    assert client.get("/api/vote").status_code == 405
    stranger = blind_app(votes).test_client()
    assert "쿠키" in stranger.get("/api/pair").json["error"]
    stranger.set_cookie("voter_80", "../../../etc")
    assert stranger.get("/api/pair").status_code == 400


def test_nothing_that_is_sent_before_the_vote_tells_which_is_which(votes):
    """Neither names nor order: over many voters each text comes first about half the time."""
    first = Counter()
    for _ in range(60):
        client = voter(votes)
        answer = client.get("/api/pair")
        assert answer.json.keys() == {"done", "of", "texts"}
        first[answer.json["texts"][0] in {pair.human for pair in PAIRS}] += 1
        assert answer.json == client.get("/api/pair").json  # looked at again, it is the same
    assert 12 <= first[True] <= 48
    page = client.get("/").get_data(as_text=True)
    assert not any(text in page for pair in PAIRS for text in pair[1:])


def test_a_vote_that_cannot_be_kept_does_not_count(votes, monkeypatch):
    client = voter(votes)
    text = client.get("/api/pair").json["texts"][0]

    def held(*args, **more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", held)
    answer = client.post("/api/vote", json={"text": text, "place": 0})
    monkeypatch.undo()
    assert (answer.status_code, "엑셀" in answer.json["error"]) == (503, True)
    assert votes.tally().votes == []
    assert client.post("/api/vote", json={"text": text, "place": 0}).status_code == 200


def test_a_whole_class_votes_at_once(votes):
    def play(_):
        client = voter(votes)
        while texts := client.get("/api/pair").json["texts"]:
            assert client.post("/api/vote", json={"text": texts[1], "place": 1}).status_code == 200
        return client.get("/api/tally").json["of"]

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(play, range(40))) == [3] * 40
    assert len(votes.tally().votes) == 120
    assert len(Votes(PAIRS, votes.file).tally().votes) == 120


def test_a_file_that_is_another_one_is_left_alone(tmp_path):
    file = tmp_path / "grades.csv"
    file.write_text("이름,점수\n", encoding="utf-8")
    with pytest.raises(UserError, match="여기에서 만든 것이 아닙니다"):
        Votes(PAIRS, file)
    assert file.read_text(encoding="utf-8") == "이름,점수\n"


def test_the_tally_does_not_take_like_votes_for_many():
    """Ten voters, of whom each is right everywhere or nowhere: by votes the interval is narrow, by voters it is not."""
    pairs = [Pair("긍정", f"사람 {number}", f"모델 {number}") for number in range(10)]
    tally = Tally([Vote(str(who), pair, who < 7) for who in range(10) for pair in range(10)], pairs)
    widths = {name: high - low for name, (low, high) in tally.intervals().items()}
    assert tally.right == 70
    assert tally.intervals()["표마다"] == wilson_interval(70, 100)
    assert widths["사람마다"] > 3 * widths["표마다"]
    assert widths["짝마다"] == pytest.approx(0)
    assert not tally.described()["intervals"][0]["holds_half"]
    assert tally.described()["intervals"][1]["holds_half"]
    assert "10명이 100번 골라 70번 맞혔습니다: 70.0%" in str(tally)
    assert "아직" in str(Tally([], pairs))
    assert votes_to_see(0.55) == 783  # Fleiss et al.
    assert votes_to_see(0.8) < 25


def test_a_whole_round_by_keyboard(votes, tmp_path):
    from selenium.webdriver import ActionChains, Keys

    votes.add("0" * 16, PAIRS[0].human, 0)  # somebody else
    with listening(blind_app(votes)) as port, chromium(tmp_path / "profile", "--window-size=1200,900") as browser:
        browser.get(f"http://127.0.0.1:{port}/")
        wait(browser, lambda: text_of(browser, "#number") == "3개 가운데 1번째")
        assert browser.switch_to.active_element.get_attribute("id") == "number"  # is read out
        source = browser.page_source
        assert not re.search(r"human|model\b", source)
        for number, key in enumerate(("1", Keys.ARROW_RIGHT, "2"), start=1):
            wait(browser, lambda number=number: text_of(browser, "#number") == f"3개 가운데 {number}번째")
            wait(browser, lambda: browser.find_element("css selector", "[data-place='0']").is_enabled())
            ActionChains(browser).send_keys(key).perform()
        wait(browser, lambda: browser.find_element("css selector", "#result").is_displayed())
        (who,) = {vote.voter for vote in votes.tally().votes} - {"0" * 16}
        right = sum(vote.right for vote in votes.of(who))
        assert text_of(browser, "#own") == f"3개 가운데 {right}개를 맞혔습니다"
        assert "2명이 4번 골라" in text_of(browser, "#class")
        assert len(browser.find_elements("css selector", "#dots circle")) == 2
        assert len(browser.find_elements("css selector", "#pairs li")) == 3
        assert not browser.find_element("css selector", "#choose").is_displayed()
        browser.refresh()  # it stays over
        wait(browser, lambda: browser.find_element("css selector", "#result").is_displayed())
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
        browser.set_window_size(390, 800)
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    places = [row[3] for row in csv.reader(io.StringIO(votes.file.read_text(encoding="utf-8-sig")))][2:]
    assert places == ["A", "B", "B"]


# The scripts


def test_the_model_is_the_trained_one_where_there_is_one(monkeypatch, finetuned_folder, tmp_path):
    monkeypatch.setattr("course.topics.TRAINED", tmp_path)
    assert TopicArguments().pretrained_model_name == "kogpt-mini"
    monkeypatch.setattr("course.topics.TRAINED", finetuned_folder)
    assert TopicArguments().downstream_model_dir == str(finetuned_folder)
    assert TopicArguments(pretrained_model_name="kogpt-mini").downstream_model_dir is None
    with pytest.raises(UserError, match="train_gen-N.py로 학습하세요"):
        TopicArguments(downstream_model_dir=str(tmp_path))


@pytest.mark.parametrize("pair", ["남자", "남자/", "가/나/다", " / "])
def test_a_pair_of_prompts_is_two(pair):
    with pytest.raises(UserError, match="/로 나눈 둘이어야"):
        BiasArguments(pairs=(pair,))


def run(script, folder, *flags) -> str:
    done = run_script(script, "--pretrained_model_name", folder, *flags)
    assert done.returncode == 0, done.stderr[-3000:]
    done.stdout.encode("cp949")  # as a terminal of Windows shows it
    return done.stdout


def test_overlap(tiny_folder):
    told = run("topic_overlap.py", tiny_folder, "--samples", 6, "--references", 5)
    rows = {line.split("  ")[0]: re.findall(r"[\d.]+", line.partition("  ")[2]) for line in told.splitlines()}
    people, copied = (list(map(float, rows[name])) for name in ("사람의 다른 리뷰", "참조 하나를 베낀 것"))
    assert copied[::2] == pytest.approx([100] * 6)
    assert len(people) == 12
    assert all(1 < score < 60 for score in people[:8:2])
    assert "ROUGE-1       참조 하나를 베낀 것" in told
    assert told.splitlines()[-1].endswith("자기 자신과의 ROUGE-L: 0.0")


def test_filter(tiny_folder):
    told = run("topic_filter.py", tiny_folder, "--samples", 3, "--misses", 3)
    precision, recall = re.search(r"^금지어 목록 +(\d+)% \(.*?\) +(\d+)% ", told, re.MULTILINE).groups()
    assert int(precision) > 50
    assert int(recall) > 50
    masked = [line for line in told.splitlines() if line.startswith("   ")]
    assert 9 <= len(masked) <= 12
    assert sum("○" in line for line in masked) >= 6
    rude = {word for text in read_labelled("test") for word in text.words if len(word) > 1}
    assert not any(word in told for word in rude)
    recalls = {how: int(re.search(rf"^{how} +(\d+)%", told, re.MULTILINE)[1]) for how in DISGUISES}
    assert recalls["자모로 풀기"] < recalls["그대로"] == int(recall)
    shown = run("topic_filter.py", tiny_folder, "--samples", 3, "--misses", 3, "--show_words")
    assert any(word in shown for word in rude)


def test_bias(tiny_folder):
    told = run("topic_bias.py", tiny_folder, "--samples", 8, "--pairs", "정말 좋은/너무 지루한", "이 감독의/그 감독의")
    swapped = told.split("로그 오즈")[1]
    same, apart = (re.search(rf"^{name} +(\d+)% \(.*?\) +(-?[\d.]+) ", swapped, re.MULTILINE).groups()
                   for name in ("정말 좋은 / 정말 좋은", "정말 좋은 / 너무 지루한"))
    assert same == ("0", "0.00")
    assert float(apart[1]) < -1  # the classifier likes the other less, whatever follows
    assert "2쌍 가운데 적어도 하나에" in told
    assert "본페로니" in told


def test_prompts(tiny_folder, finetuned_folder):
    told = run("topic_prompts.py", tiny_folder, "--downstream_model_dir", finetuned_folder, "--samples", 4, "--prompts",
               "이 영화는", "긍정")
    rows = [line for line in told.splitlines() if line.startswith("이 영화는")]
    assert len(re.findall(r"\d+% \(", rows[-1])) == 2  # before and after
    assert told.count("예시의 말투") == told.count("라벨의 뜻") == 2
    assert "%p" in told


def test_a_mistake_is_one_line():
    assert "samples: 1 이상이어야" in user_error(run_script("topic_overlap.py", "--samples", 0))
    assert "votes: .csv로 끝나야" in user_error(run_script("topic_blind.py", "--votes", "표.txt"))
    assert "pairs: " in user_error(run_script("topic_bias.py", "--pairs", "남자"))


def test_blind_is_served_and_ends_with_the_tally(tmp_path):
    flags = ("--pretrained_model_name", "kogpt-mini", "--samples", 30, "--pairs", 2, "--votes", tmp_path / "votes.csv")
    with Served("topic_blind.py", *flags) as served:
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        opener.open(f"http://127.0.0.1:{served.port}/", timeout=30).read()
        for done in (0, 1):
            pair = json.load(opener.open(f"http://127.0.0.1:{served.port}/api/pair", timeout=30))
            assert (pair["done"], pair["of"]) == (done, 2)
            sizes = [len(syllables(text)) for text in pair["texts"]]
            assert max(sizes) - min(sizes) <= 0.2 * max(sizes)
            body = json.dumps({"text": pair["texts"][0], "place": 0}).encode()
            opener.open(urllib.request.Request(f"http://127.0.0.1:{served.port}/api/vote", body, {
                "Content-Type": "application/json"}), timeout=30)
    rows = list(csv.reader(io.StringIO((tmp_path / "votes.csv").read_text(encoding="utf-8-sig"))))
    assert len(rows) == 3
    assert all(before[1] == after[1] for before, after in pairwise(rows[1:]))
