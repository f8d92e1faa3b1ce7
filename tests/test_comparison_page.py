"""The report of a comparison: its figures are the model's, its pictures XML, its page one file that loads nothing."""

import html
import json
import random
import re
import shutil
from xml.etree import ElementTree

import pytest
import torch
from helpers import chromium
from transformers import LogitsProcessor

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.comparison import png
from ratsnlp.nlpbook.comparison.page import mark_repeats, page, write_report
from ratsnlp.nlpbook.comparison.pictures import beam_tree as draw_tree
from ratsnlp.nlpbook.comparison.pictures import draw_all
from ratsnlp.nlpbook.comparison.pictures_data import beam_tree, greedy_path, next_token, token_text
from ratsnlp.nlpbook.comparison.svg import escape, standalone
from ratsnlp.nlpbook.evaluation.metrics import distinct, ngrams, repeated, syllables
from ratsnlp.nlpbook.generation import SETTINGS, encode_prompt, load_pretrained, readable
from ratsnlp.nlpbook.generation.batched import Run, generate_batched

SHOWN = (1, 2, 3, 9)  # of the settings: greedy, beams, greedy once more, top-k
SAMPLES = 6


@pytest.fixture
def prompted(tiny_model, tokenizer):
    return tiny_model, tokenizer, encode_prompt(tiny_model, tokenizer, "긍정 이 영화")


def figures(texts: list[str]) -> dict:
    return {"distinct_2": distinct(texts, 2), "repeated_4grams": repeated(texts), "log_prob": -3.25, "ended": None,
            "mean_syllables": sum(len(syllables(text)) for text in texts) / len(texts), "texts": len(texts)}


@pytest.fixture(scope="module")
def made(tiny_folder) -> dict:
    model, tokenizer = load_pretrained(str(tiny_folder))
    input_ids = encode_prompt(model, tokenizer, "긍정")
    chosen = [SETTINGS[number - 1] for number in SHOWN]
    runs = [Run(setting.fit(model), range(SAMPLES if setting.options.draws else 1)) for setting in chosen]
    generate_batched(model, input_ids, runs)
    settings = []
    for number, setting, run in zip(SHOWN, chosen, runs, strict=True):
        texts = [readable(tokenizer, text) for text in run.texts]
        settings.append({
            "label": f"[{number}]", "number": number, "options": str(setting), "changes": "[1]에서 …" * (number > 1),
            "look_for": setting.look_for, "outcomes": [{
                "texts": texts, "prompt_characters": 2,
                "tokens": [len(text) - input_ids.shape[1] for text in run.texts],
                "ended": [bool(text[-1] == tokenizer.eos_token_id) for text in run.texts], "seconds": None,
                "same_as": "[1]" if number == 3 else None, "candidates": list(run.trace.medians().items()),
                "figures": figures([text[2:] for text in texts])}]})
    return {
        "title": "tiny", "prompt": "긍정", "command": "python task3-gen/infer_gen-0.py --report 보고서", "seed": 7,
        "samples": SAMPLES, "versions": {"torch": torch.__version__}, "models": ["tiny"], "settings": settings,
        "human": [figures(["정말 재미있게 봤습니다", "시간이 아까운 영화", "배우들의 연기가 좋았다"])],
        "pictures": [{
            "next_token": next_token(model, tokenizer, input_ids),
            "greedy_path": greedy_path(model, tokenizer, input_ids),
            "beam_trees": [beam_tree(model, tokenizer, input_ids, beams) for beams in (2, 3)]}]}


@pytest.fixture
def report(made) -> dict:
    """A report of the tiny model, for each test to change."""
    return json.loads(json.dumps(made))


@torch.no_grad()
def probabilities(model, input_ids):
    return model.eval()(input_ids).logits[0, -1].softmax(-1)


def test_the_next_tokens_are_those_of_the_model_and_its_warpers(prompted):
    model, tokenizer, input_ids = prompted
    found, expected = next_token(*prompted, top=8), probabilities(model, input_ids)
    ranked = expected.sort(descending=True)
    assert [token["text"] for token in found["tokens"]] == [
        token_text(tokenizer, token) for token in ranked.indices[:8].tolist()]
    assert [token["p"] for token in found["tokens"]] == pytest.approx(ranked.values[:8].tolist())
    assert found["vocabulary"] == len(expected)
    assert found["entropy_bits"] == pytest.approx(float(-(expected * expected.log2()).sum()), rel=1e-5)
    panels = {(panel["knob"], panel["value"]): panel for panel in found["reshaped"]}
    assert panels["temperature", 1.0]["p"] == pytest.approx(ranked.values[:8].tolist())
    assert panels["temperature", 0.5]["p"] == pytest.approx(
        (expected**2 / (expected**2).sum()).sort(descending=True).values[:8].tolist(), rel=1e-4)
    assert {panels["temperature", value]["left"] for value in (0.5, 1.0, 1.5)} == {len(expected)}
    assert panels["top_k", 5]["left"] == 5
    assert panels["top_k", 5]["p"][5:] == [0.0] * 3
    assert sum(panels["top_k", 5]["p"]) == pytest.approx(1, abs=1e-5)
    assert panels["top_k", 5]["others"] == pytest.approx(0, abs=1e-5)
    for share in (0.5, 0.92):  # as many as it takes to come to the share
        assert panels["top_p", share]["left"] == pytest.approx(int((ranked.values.cumsum(0) < share).sum()) + 1, abs=1)


def test_the_greedy_path_is_that_of_generate(prompted):
    model, tokenizer, input_ids = prompted
    found = greedy_path(*prompted, steps=4, width=2)
    whole = model.generate(input_ids, do_sample=False, max_new_tokens=4)
    assert found["text"] == readable(tokenizer, whole[0])
    assert [len(step["candidates"]) for step in found["steps"]] == [2] * 4
    second = probabilities(model, whole[:, : input_ids.shape[1] + 1]).sort(descending=True)
    assert [candidate["p"] for candidate in found["steps"][1]["candidates"]] == pytest.approx(
        second.values[:2].tolist(), rel=1e-4)
    both = [step["candidates"][0]["p"] for step in found["steps"][:2]]
    assert found["steps"][1]["log_prob"] == pytest.approx(float(torch.tensor(both).log().sum()), rel=1e-4)


class Beams(LogitsProcessor):
    def __init__(self):
        self.rows = set()

    def __call__(self, input_ids, scores):
        self.rows.update(map(tuple, input_ids.tolist()))
        return scores


@pytest.mark.parametrize("num_beams", [2, 3])
def test_the_tree_is_that_of_beam_search(prompted, num_beams):
    model, tokenizer, input_ids = prompted
    found, beams = beam_tree(*prompted, num_beams, steps=4), Beams()
    whole = model.eval().generate(input_ids, do_sample=False, num_beams=num_beams, max_new_tokens=4,
                                  num_return_sequences=num_beams, logits_processor=[beams])
    assert found["text"] == readable(tokenizer, whole[0])
    nodes = {node["id"]: node for node in found["nodes"]}

    def path(node):
        return () if node["parent"] is None else (*path(nodes[node["parent"]]), node["text"])

    def spelled(row):
        return tuple(token_text(tokenizer, token) for token in row[input_ids.shape[1] :])

    assert {path(node) for node in found["nodes"] if node["rank"] is None} == {spelled(row) for row in beams.rows}
    ends = sorted((node["rank"], path(node)) for node in found["nodes"] if node["rank"])
    assert [way for _, way in ends] == [spelled(row) for row in whole.tolist()]
    winner = [node for node in found["nodes"] if node["winner"]]
    assert path(winner[-1]) == spelled(whole[0].tolist())
    first = probabilities(model, input_ids)
    assert winner[1]["p"] == pytest.approx(float(first[whole[0, input_ids.shape[1]]]), rel=1e-4)
    assert winner[-1]["score"] == pytest.approx(winner[-1]["log_prob"] / 4, rel=1e-4)
    scores = [node["score"] for node in sorted(found["nodes"], key=lambda node: node["rank"] or 0) if node["rank"]]
    assert scores == sorted(scores, reverse=True)


def test_a_text_ends_with_eos_in_the_figures_too(prompted):
    model, tokenizer, input_ids = prompted
    first = model.eval().generate(input_ids, do_sample=False, max_new_tokens=1)[0, -1]
    model.generation_config.eos_token_id = int(first)
    assert len(greedy_path(*prompted)["steps"]) == 1
    found = beam_tree(*prompted, 4, steps=2)
    parents = {node["parent"] for node in found["nodes"]}
    (ended,) = [node for node in found["nodes"] if node["parent"] == 0 and node["id"] not in parents and node["rank"]]
    assert ended["text"] == token_text(tokenizer, int(first))
    assert ended["score"] == pytest.approx(ended["log_prob"])  # over one token
    whole = model.generate(input_ids, do_sample=False, num_beams=4, max_new_tokens=2)
    assert found["text"] == readable(tokenizer, whole[0])


def test_figures_stop_where_the_model_has_no_more_positions(prompted):
    model, tokenizer, _ = prompted
    long = encode_prompt(model, tokenizer, "긍정 " + "영화 " * 61, max_length=64)[:, :61]
    assert len(greedy_path(model, tokenizer, long)["steps"]) == 3
    tree = beam_tree(model, tokenizer, long, 2)
    assert [node["score"] for node in tree["nodes"] if node["rank"] == 1] == pytest.approx(
        [node["log_prob"] / 3 for node in tree["nodes"] if node["rank"] == 1])


def test_tokens_are_shown_with_their_space_and_bytes_as_they_are(tokenizer):
    ids = tokenizer.encode("이 영화 😂")
    assert [token_text(tokenizer, token) for token in ids][:2] == ["␣이", "␣영화"]
    assert [token_text(tokenizer, token) for token in ids][-4:] == ["<0xF0>", "<0x9F>", "<0x98>", "<0x82>"]
    assert token_text(tokenizer, tokenizer.eos_token_id) == "</s>"
    assert token_text(tokenizer, len(tokenizer) + 5) == f"<{len(tokenizer) + 5}>"


def test_pictures_are_xml_and_say_what_they_show(report):
    drawn = draw_all(report | {"models": ["tiny", "tiny"], "pictures": report["pictures"] * 2,
                               "human": report["human"] * 2, "settings": [
                                   setting | {"outcomes": setting["outcomes"] * 2} for setting in report["settings"]]})
    assert list(drawn) == [name + end for end in ("", "-2")
                           for name in ("next_token", "greedy", "beams_2", "beams_3", "settings")]
    name = "{http://www.w3.org/2000/svg}"
    for svg in drawn.values():
        for root in (ElementTree.fromstring(svg), ElementTree.fromstring(standalone(svg))):
            assert root.get("role") == "img"
            assert root.find(f"{name}title").text
            assert root.find(f"{name}desc").text
        style = root.find(f"{name}style").text
        assert "var(" not in style
        assert "#" in style
    bars = ElementTree.fromstring(drawn["next_token"])
    texts = [text.text for text in bars.iter(f"{name}text")]
    assert "5개 남음" in texts
    assert texts.count("×") == len(bars.findall(f"{name}rect[@class='cut']")) > 0
    ways = ElementTree.fromstring(drawn["beams_3"]).findall(f"{name}path[@class='edge taken']")
    assert len(ways) == sum(node["winner"] for node in report["pictures"][0]["beam_trees"][1]["nodes"]) - 1


def test_what_no_document_can_hold_is_left_out_of_pictures(report):
    tree = report["pictures"][0]["beam_trees"][0]
    tree["nodes"][0]["text"] = tree["text"] = '<script>&"\x00\x1b\ud800'
    root = ElementTree.fromstring(draw_tree(tree))
    assert "<script>" in "".join(root.itertext())
    assert escape("\x00<") == "�&lt;"


def test_settings_that_give_one_text_stand_apart_from_those_whose_diversity_compares(report):
    root = ElementTree.fromstring(draw_all(report)["settings"])
    circles = root.findall("{http://www.w3.org/2000/svg}circle")
    labels = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"9", "사람"} <= set(labels)
    assert "1·3" in labels or "1–3" in labels  # [3] is greedy search too: one mark
    band = root.find("{http://www.w3.org/2000/svg}rect[@class='band']")
    end = float(band.get("x")) + float(band.get("width"))
    inside = [float(circle.get("cx")) < end for circle in circles if float(circle.get("cy")) > 50]
    assert sorted(inside) == [False] + [True] * (len(inside) - 1)


@pytest.mark.parametrize(("text", "marked"), [
    (" 고래가 고래가 고래를 봤다", " 고래가 <mark>고래가 고래</mark>를 봤다"),
    ("처음부터 끝까지 좋았다", "처음부터 끝까지 좋았다"), ("ㅋㅋㅋㅋㅋ", "ㅋ<mark>ㅋㅋㅋㅋ</mark>"), ("", ""),
    ("a<b> a<b>", "a&lt;b&gt; <mark>a&lt;b&gt;</mark>"),
])
def test_what_stood_before_is_marked(text, marked):
    assert mark_repeats(text) == marked


def test_marked_are_exactly_the_grams_that_are_counted():
    draw = random.Random(0)
    for _ in range(200):
        text = "".join(draw.choices("가나 ", k=draw.randrange(30)))
        marked = mark_repeats(text)
        assert html.unescape(re.sub("</?mark>", "", marked)) == text
        inside, flags = False, []
        for part in re.findall("</?mark>|.", marked):
            inside = part == "<mark>" if part.startswith(("<", "</")) else inside
            if len(part) == 1 and not part.isspace():
                flags.append(inside)
        grams = ngrams(text, 4)
        again = [gram in grams[:place] for place, gram in enumerate(grams)]
        assert flags == [any(again[max(place - 3, 0) : place + 1]) for place in range(len(flags))]
        assert sum(again) == pytest.approx(repeated([text]) * len(grams))


def test_the_report_is_one_page_that_loads_nothing_and_its_figures(report, tmp_path):
    write_report(tmp_path / "새 폴더", report)
    assert sorted(path.name for path in (tmp_path / "새 폴더").iterdir()) == ["report.html", "report.json"]
    assert json.loads((tmp_path / "새 폴더" / "report.json").read_text(encoding="utf-8")) == report
    content = (tmp_path / "새 폴더" / "report.html").read_text(encoding="utf-8")
    assert set(re.findall("https?://[^\"' ]*", content)) == {"http://www.w3.org/2000/svg"}
    assert all(where.startswith(("#", "data:")) for where in re.findall(r'(?:href|src)="?([^">]*)', content))
    assert not re.search(r"url\(|@import|<script", content)
    assert all(f'id="{where}"' in content for where in re.findall(r'href="#([^"]*)"', content))
    assert "사람의 리뷰" in content
    assert "[1]</a>의</span> 텍스트와 같습니다." in content
    for text in report["settings"][-1]["outcomes"][0]["texts"]:
        assert escape(text) in re.sub("</?(?:mark|b)>", "", content)


def test_only_settings_whose_texts_are_all_the_same_are_said_to_be(report):
    sampled, greedy = report["settings"][-1]["outcomes"][0], report["settings"][0]["outcomes"][0]
    sampled["same_as"] = "[1]"
    sampled["texts"][0] = greedy["texts"][0]  # from the first seed, but not from the others
    content = page(report)
    assert content.count("의</span> 텍스트와 같습니다.") == 1
    assert escape(sampled["texts"][1]) in re.sub("</?(?:mark|b)>", "", content)


def test_what_a_model_or_a_user_wrote_is_text(report):
    evil = "</style><script>alert(1)</script>"
    report["prompt"] = report["title"] = report["command"] = report["models"][0] = evil
    setting = report["settings"][-1]
    setting["label"] = setting["changes"] = setting["look_for"] = setting["options"] = evil
    outcome = setting["outcomes"][0]
    outcome["texts"][0], outcome["candidates"] = f"긍정{evil}", [["vocabulary", 8], [evil, 4]]
    content = page(report)
    assert "<script" not in content
    assert "alert(1)" in content


def test_a_report_that_cannot_be_written_leaves_nothing(report, tmp_path):
    del report["human"]
    with pytest.raises(KeyError):
        write_report(tmp_path / "new", report)
    assert not (tmp_path / "new").exists()


@pytest.fixture
def fonts():
    try:
        png.check_png()
    except UserError as error:
        pytest.skip(f"requirements-png.txt가 설치되어 있지 않습니다({error}).")
    return png.find_fonts()


def svg_of(text: str) -> str:
    return ('<svg xmlns="http://www.w3.org/2000/svg" class="picture" width="80" height="30" viewBox="0 0 80 30">'
            f'<desc>글자</desc><text x="5" y="20">{text}</text></svg>')


def test_pictures_become_pngs_with_hangul(fonts, report, tmp_path):
    from matplotlib.image import imread

    texts = {"ga": "가", "na": "나", "none": "", "emoji": "🦖", "spelled": "U+1F996"}
    png.write_pngs(tmp_path, {name: svg_of(text) for name, text in texts.items()})
    shown = {name: imread(tmp_path / f"{name}.png") for name in texts}
    assert shown["ga"].shape[:2] == (60, 160)
    dark = {name: int((picture[..., :3].max(-1) < 0.5).sum()) for name, picture in shown.items()}
    assert dark["none"] == 0
    assert min(dark["ga"], dark["na"]) > 20
    assert (shown["ga"] != shown["na"]).any()
    assert (shown["emoji"] == shown["spelled"]).all()  # and no box
    write_report(tmp_path / "report", report, png=True)
    assert sorted(path.stem for path in (tmp_path / "report").glob("*.png")) == sorted(draw_all(report))


def test_a_missing_font_or_package_is_told_in_one_line(monkeypatch, fonts, tmp_path):
    find = png.find_spec
    monkeypatch.setattr(png, "find_spec", lambda name: None if name == "koreanize_matplotlib" else find(name))
    monkeypatch.setattr(png, "font_folders", lambda: [tmp_path / "fonts"])
    with pytest.raises(UserError, match="한글 글꼴이 없어.*python -m pip install -r requirements-png.txt"):
        png.write_pngs(tmp_path / "out", {"a": svg_of("가")})
    assert not (tmp_path / "out").exists()
    (tmp_path / "fonts" / "nanum").mkdir(parents=True)
    shutil.copy(fonts[0], tmp_path / "fonts" / "nanum" / "NanumGothic.ttf")
    assert png.find_fonts()[0] == tmp_path / "fonts" / "nanum" / "NanumGothic.ttf"  # the system's
    monkeypatch.setattr(png, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="resvg_py 패키지가 없습니다"):
        png.check_png()


@pytest.fixture
def browser(tmp_path):
    with chromium(tmp_path / "profile") as driver:
        yield driver


def test_the_page_fits_a_phone_and_is_light_on_dark_where_that_is_wanted(browser, report, tmp_path):
    report["models"] = ["x" * 60, "tiny"]
    report["pictures"] *= 2
    report["human"] *= 2
    for setting in report["settings"]:
        setting["outcomes"] *= 2
    write_report(tmp_path, report)
    for width in (320, 1280):
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 700, "deviceScaleFactor": 1, "mobile": width == 320})
        browser.get((tmp_path / "report.html").as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    light = {}
    for scheme in ("light", "dark"):
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})
        colours = browser.execute_script(
            "return [getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor, "
            "getComputedStyle(document.querySelector('svg text')).fill]")
        light[scheme] = [sum(map(int, re.findall(r"\d+", colour)[:3])) > 382 for colour in colours]
    assert light == {"light": [False, True, False], "dark": [True, False, True]}
