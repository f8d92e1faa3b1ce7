"""The page in a real Chromium that reaches nothing but this machine."""

import json
import re
import time
import urllib.request
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
from echo import echo_service
from helpers import REPOSITORY, Served, chromium, listening, text_of, wait
from selenium.webdriver.support.select import Select

from ratsnlp.nlpbook.generation import GenerationDeployArguments, GenerationService, get_web_service_app

SEED = 7


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile"), "--window-size=1200,1000") as driver:
        yield driver


@pytest.fixture(scope="module")
def port(mini_service):
    with listening(get_web_service_app(mini_service)) as port:
        yield port


@pytest.fixture
def page(browser, port):
    """The page of kogpt-mini, as it is when one opens it."""
    return opened(browser, port)


def opened(browser, port, fragment: str = ""):
    browser.get("about:blank")  # else another fragment would be no new page
    browser.get(f"http://127.0.0.1:{port}/{fragment}")
    wait(browser, lambda: text_of(browser, "#model") != "모델을 확인하는 중…")
    return browser


def find(page, selector: str):
    return page.find_element("css selector", selector)


def fill(page, **values):
    for name, value in values.items():
        field = find(page, f"#{name}" if name in ("prompt", "seed") else f"[name='{name}']")
        page.execute_script("arguments[0].closest('details:not([open])')?.setAttribute('open', '')", field)
        page.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
            field, str(value))


def written(page) -> str:
    """The text, once it is whole; an error is the end as well."""
    wait(page, lambda: text_of(page, "#send") == "이어 쓰기")
    return text_of(page, "#result")


def send(page, **values) -> str:
    fill(page, **values)
    find(page, "#send").click()
    return written(page)


def error(page) -> str | None:
    status = find(page, "#status")
    return status.text if "error" in status.get_attribute("class") else None


def tokens(page):
    return page.find_elements("css selector", "[data-token]")


def candidates(page):
    return page.find_elements("css selector", "[data-candidate]")


def table(page) -> list[list[str]]:
    """Of each candidate its id, and its probabilities as they are shown."""
    return page.execute_script("""return [...document.querySelectorAll("#xray tbody tr")].map((row) => [
        row.querySelector("[data-candidate]").dataset.candidate,
        ...[...row.querySelectorAll("td:not(.bars)")].map((cell) => cell.textContent)])""")


def ask(port, path, body=None) -> dict:
    data = body and json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def percent(share: float) -> str:
    return "0" if share == 0 else "<0.1%" if share < 0.001 else f"{100 * share:.1f}%"


def shown(step: dict) -> list[list[str]]:
    """:func:`table` of a step of the API."""
    return [[str(each["id"]), *(percent(each[stage]) for stage in step["order"])] for each in step["candidates"]]


def press(page, *keys: str):
    from selenium.webdriver import ActionChains, Keys

    for key in keys:
        ActionChains(page).send_keys(getattr(Keys, key, key)).perform()


def focused(page, name: str) -> str | None:
    return page.execute_script("return document.activeElement.dataset[arguments[0]] ?? null", name)


# The text


def test_a_prompt_is_continued_as_the_api_does(page, port):
    text = send(page, prompt="긍정", seed=SEED)
    answer = ask(port, "/api", {"prompt": "긍정", "seed": SEED})
    assert text == answer["result"]
    told = text_of(page, "#told")
    assert f"새 토큰 {answer['tokens']}개" in told
    assert f"시드 {SEED}" in told
    assert re.search(r"초당 \d+토큰", told)
    assert ("eos" in told) == (answer["finish_reason"] == "stop")
    assert len(tokens(page)) == answer["tokens"]
    fill(page, seed="")
    assert len({send(page), send(page), send(page)}) > 1  # a fresh seed each time


def test_every_knob_is_there_with_its_names_range_and_help(page, port):
    fields = {field["name"]: field for field in ask(port, "/api/settings")["fields"]}
    knobs = page.execute_script("""return Object.fromEntries([...document.querySelectorAll("#settings [name]")].map(
        (input) => [input.name, [input.closest(".knob").textContent,
                                 input.closest(".knob").querySelector("[type=range]")?.max]]))""")
    assert knobs.keys() == fields.keys() - {"seed", "steps", "prefix"}
    for name, (text, most) in knobs.items():
        field = fields[name]
        assert all(each in text for each in (name, field["korean"], field["help"]))
        if field["type"] != "boolean":
            assert f"{field['maximum']:,.0f}까지" in text
            assert float(most) == field.get("slider", [0, field["maximum"]])[1]


def test_slider_and_number_are_one_value(page):
    fill(page, temperature="1.5")
    slider = find(page, "[data-knob], #settings .knob:has([name=temperature]) [type=range]")
    assert slider.get_property("value") == "1.5"
    page.execute_script("arguments[0].value = 0.5; arguments[0].dispatchEvent(new Event('input'))", slider)
    assert find(page, "[name=temperature]").get_property("value") == "0.5"
    assert "temperature=0.5" in text_of(page, "#changed")
    find(page, "#settings .knob:has([name=temperature]) button").click()
    assert find(page, "[name=temperature]").get_property("value") == ""


def test_control_words_are_put_before_the_prompt_and_taken_away(page):
    fill(page, prompt="부정 이 영화는")
    for word, expected in (("긍정", "긍정 이 영화는"), ("", "이 영화는"), ("부정", "부정 이 영화는")):
        find(page, f"[data-control='{word}']").click()
        assert find(page, "#prompt").get_property("value") == expected
        pressed = find(page, "[data-control][aria-pressed=true]")
        assert pressed.get_attribute("data-control") == word


def test_a_preset_is_one_click_and_says_what_to_look_at(page, port):
    find(page, "#presets summary").click()
    page.find_elements("css selector", "#presets li > button:first-child")[3].click()
    text = written(page)
    assert text == ask(port, "/api", {"prompt": "긍정", "do_sample": False, "no_repeat_ngram_size": 3})["result"]
    assert text_of(page, "#look").startswith("[4] 연속한 세 토큰은")
    assert find(page, "[name=no_repeat_ngram_size]").get_property("value") == "3"


def test_an_error_is_one_sentence_in_korean_and_the_text_stays(page):
    text = send(page, prompt="긍정", seed=SEED)
    send(page, top_p="2")
    assert error(page) == "top_p: 0보다 크고 1 이하여야 하는데 2입니다."
    assert find(page, "[name=top_p]").get_attribute("aria-invalid") == "true"
    send(page, top_p="많이")
    assert error(page) == "top_p: 수여야 하는데 '많이'입니다."
    assert text_of(page, "#result") == text
    assert send(page, top_p="", seed=8) != text
    assert error(page) is None


def test_html_is_text(page):
    html = "<img src=x onerror=document.title='당했다'> 가"
    assert send(page, prompt=html).startswith(html)
    assert "당했다" not in page.title
    assert not page.find_elements("css selector", "img")
    assert page.execute_script("""
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        return window.ran ?? null""") is None  # Content-Security-Policy


def test_the_page_asks_for_nothing_from_elsewhere(page):
    send(page)
    names = page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert len(names) > 10
    assert all(name.startswith(("http://127.0.0.1:", "data:")) for name in names)
    severe = [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
    assert not [message for message in severe if "400" not in message and "Content Security Policy" not in message]


def test_it_stays_small():
    files = [REPOSITORY / "templates" / "serve_gen.html", *(REPOSITORY / "templates" / "serve_gen").iterdir()]
    assert sum(file.stat().st_size for file in files) < 97_000


def test_what_is_served_is_said_at_the_top(browser, finetuned_folder):
    with Served("serve_gen-0.py", "--downstream_model_dir", finetuned_folder) as served:
        opened(browser, served.port, "?token=x")
        loss = re.search(r"val_loss=(\d+\.\d+)", next(finetuned_folder.glob("epoch=*.ckpt")).name)[1]
        assert f"val_loss={loss}" in text_of(browser, "#model")
        assert finetuned_folder.name in browser.title
        assert str(float(loss)) in browser.title
        assert "token" not in browser.current_url
        assert send(browser, prompt="부정", temperature="0") == send(browser, prompt="부정", temperature="0")
        text, token = text_of(browser, "#result"), tokens(browser)[1]
        token.click()
        wait(browser, lambda: len(candidates(browser)) >= 20)
    other = [each for each in candidates(browser)
             if each.get_attribute("data-candidate") != token.get_attribute("data-token")][0]
    browser.execute_script("arguments[0].click()", other)
    assert written(browser) == text  # and not the beginning of a branch
    assert "서버에 연결되지 않습니다" in error(browser)
    assert not find(browser, "#branches").is_displayed()


# Stop


def test_the_stop_button_frees_the_server_within_a_second(browser):
    service = echo_service(seconds=0.05)
    with listening(get_web_service_app(service)) as port:
        opened(browser, port)
        for stop in ("button", "key"):
            fill(browser, prompt="가나다", max_length="1000")
            find(browser, "#send").click()
            wait(browser, lambda: len(tokens(browser)) > 5)
            assert service.engine.running
            began = time.monotonic()
            find(browser, "#stop").click() if stop == "button" else press(browser, "ESCAPE")
            wait(browser, lambda: not service.engine.running)
            assert time.monotonic() - began < 1
            assert text_of(browser, "#send") == "이어 쓰기"
            assert "멈추었습니다" in text_of(browser, "#told")
            assert text_of(browser, "#result").startswith("가나다가나다가")
    service.close()


# X-ray


def test_the_xray_shows_the_apis_probabilities(page, port):
    send(page, prompt="긍정", seed=SEED, top_p="0.8", max_length="20")
    steps = ask(port, "/api", {"prompt": "긍정", "seed": SEED, "top_p": 0.8, "max_length": 20, "steps": 20})["steps"]
    for place, step in ((0, steps[0]), (3, steps[3])):
        tokens(page)[place].click()
        wait(page, lambda step=step: table(page) == shown(step))
        pipeline = text_of(page, "#xray .pipeline")
        assert all(f"{left:,}" in pipeline for left in step["left"].values())
        assert f"{step['entropy']:.2f}비트" in pipeline
        assert f"{step['number']:.4f}" in text_of(page, "#xray")
        part, mark = (page.execute_script(f"return document.querySelector('{each}').getBoundingClientRect().toJSON()")
                      for each in (".bar .drawn", ".bar i"))
        assert part["left"] - 3 <= mark["left"] <= part["right"] + 1  # the draw fell on what it drew
        for row, each in zip(page.find_elements("css selector", "#xray tbody tr"), step["candidates"], strict=True):
            assert (f"{each['cut_by']}가 제외" in row.text) == (each["cut_by"] is not None)
            assert ("뽑힘" in row.text) == (each["id"] == step["token"])
    assert any(each["cut_by"] == "top_p" for each in steps[3]["candidates"])
    levels = {re.search(r"p\d", token.get_attribute("class"))[0] for token in tokens(page)}
    assert len(levels) > 2
    assert re.fullmatch(r"토큰 1: .+, 확률 .+", tokens(page)[0].get_attribute("aria-label"))


def test_a_slider_redraws_the_table_from_the_steps_logits(page, port):
    send(page, prompt="긍정", seed=SEED)
    tokens(page)[2].click()
    before = table(page)
    body = {"prompt": "긍정", "seed": SEED, "steps": 20}
    for knobs in ({"temperature": 1.6, "top_p": 0.5}, {"temperature": 1.6, "top_p": 0.5, "temperature_last": True},
                  {"top_k": 3, "min_p": 0.02}, {"repetition_penalty": 1.4}, {"temperature": 0}, {"polarity": 5}):
        fill(page, **{name: "" for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")})
        if find(page, "#xray [role=switch]").is_selected() != knobs.get("temperature_last", False):
            find(page, "#xray [role=switch]").click()
        fill(page, **{name: value for name, value in knobs.items() if name != "temperature_last"})
        prefix = [int(token.get_attribute("data-token")) for token in tokens(page)[:2]]
        (*_, step) = ask(port, "/api", body | knobs | {"prefix": prefix, "max_new_tokens": 3})["steps"]
        wait(page, lambda step=step: near(table(page), shown(step)), 5)
        assert table(page) != before
        assert "지금 설정" in text_of(page, "#xray .note")
    fill(page, polarity="")
    wait(page, lambda: table(page) == before)
    fill(page, num_beams="3")
    wait(page, lambda: "X-ray가 없습니다" in text_of(page, "#xray .note"))
    fill(page, num_beams="", top_p="7")
    wait(page, lambda: "범위를 벗어나" in text_of(page, "#xray .note"))


def near(one: list, other: list) -> bool:
    """The same candidates, and percentages that differ in no more than the last digit."""
    def value(cell):
        return 0.05 if cell == "<0.1%" else float(cell.rstrip("%"))

    return [row[0] for row in one] == [row[0] for row in other] and all(
        abs(value(a) - value(b)) < 0.11 for mine, theirs in zip(one, other, strict=True)
        for a, b in zip(mine[1:], theirs[1:], strict=True))


def test_a_hundred_draws_are_counted_over_the_bars(page):
    send(page, prompt="긍정", seed=SEED, top_k="5")
    tokens(page)[1].click()
    wait(page, lambda: candidates(page))
    find(page, "#xray .top button").click()
    wait(page, lambda: "100번 뽑아" in text_of(page, "#xray .note"))
    counts = [int(number) for number in re.findall(r"(\d+)회", find(page, "#xray tbody").text)]
    rows = table(page)
    assert (len(counts), sum(counts)) == (len(rows), 100)
    assert {row[-1] == "0" for row, number in zip(rows, counts, strict=True) if number} == {False}
    assert sum(row[-1] != "0" for row in rows) == 5


# Branches


def test_a_candidate_is_picked_by_keyboard_alone_and_the_text_goes_on_from_it(page, port):
    first = send(page, prompt="긍정", seed=SEED)
    ids = [int(token.get_attribute("data-token")) for token in tokens(page)]
    page.execute_script("document.querySelector('[data-token]').focus()")
    press(page, "ARROW_RIGHT", "ARROW_RIGHT", "ENTER")
    wait(page, lambda: focused(page, "candidate") == str(ids[2]))
    start = [int(row[0]) for row in table(page)].index(ids[2])
    press(page, "ARROW_LEFT")  # the token before, and back
    wait(page, lambda: focused(page, "candidate") == str(ids[1]))
    press(page, "ARROW_RIGHT")
    wait(page, lambda: focused(page, "candidate") == str(ids[2]))
    press(page, *(["ARROW_UP"] if start else ["ARROW_DOWN"]))
    other = int(focused(page, "candidate"))
    assert other != ids[2]
    press(page, "ENTER")
    wait(page, lambda: tokens(page)[2].get_attribute("data-token") == str(other))
    text = written(page)
    assert text == ask(port, "/api", {"prompt": "긍정", "seed": SEED, "prefix": [*ids[:2], other]})["result"]
    assert "가지 2개" in text_of(page, "#branches")
    press(page, "ESCAPE")
    wait(page, lambda: not find(page, "#xray").is_displayed())
    assert focused(page, "token") == str(other)
    from selenium.webdriver import ActionChains, Keys

    def chord(*keys):
        actions = ActionChains(page)
        for key in keys[:-1]:
            actions.key_down(key)
        actions.send_keys(keys[-1])
        for key in keys[:-1]:
            actions.key_up(key)
        actions.perform()

    chord(Keys.CONTROL, "z")
    assert text_of(page, "#result") == first
    chord(Keys.CONTROL, Keys.SHIFT, "z")
    assert text_of(page, "#result") == text
    find(page, "#undo").click()
    assert text_of(page, "#result") == first
    tokens(page)[2].click()
    wait(page, lambda: find(page, f"[data-candidate='{other}']"))
    assert "다른 가지" in find(page, "#xray tbody").text
    page.execute_script("arguments[0].click()", find(page, f"[data-candidate='{other}']"))
    assert text_of(page, "#result") == text  # kept, and not written once more


def test_a_parent_remembers_the_child_that_was_last_visited(page):
    send(page, prompt="긍정", seed=SEED)
    ids = [token.get_attribute("data-token") for token in tokens(page)]

    def pick(place: int, row: int) -> str:
        tokens(page)[place].click()
        wait(page, lambda: find(page, "#xray").is_displayed() and len(candidates(page)) >= 20)
        rows = [each[0] for each in table(page) if each[0] != tokens(page)[place].get_attribute("data-token")]
        page.execute_script("arguments[0].click()", find(page, f"[data-candidate='{rows[row]}']"))
        return written(page)

    pick(1, 0)
    deep = pick(2, 1)
    page.execute_script("arguments[0].click()", find(page, "#branches button"))
    assert [token.get_attribute("data-token") for token in tokens(page)] == ids
    assert pick(1, 0) == deep  # not the first child of the first pick


def test_a_link_restores_prompt_settings_seed_and_choices(page, browser, port):
    send(page, prompt="긍정", seed=SEED, temperature="1.3", top_k="0")
    ids = [token.get_attribute("data-token") for token in tokens(page)]
    tokens(page)[1].click()
    wait(page, lambda: len(candidates(page)) >= 20)
    other = [each for each in candidates(page) if each.get_attribute("data-candidate") != ids[1]][4]
    page.execute_script("arguments[0].click()", other)
    text = written(page)
    link = page.current_url
    state = {name: value[0] for name, value in parse_qs(urlsplit(link).fragment).items()}
    assert (state["prompt"], state["seed"], state["temperature"], state["picked"]) == ("긍정", str(SEED), "1.3", "1")
    opened(browser, port, "#" + link.partition("#")[2])
    assert written(browser) == text
    wait(browser, lambda: text_of(browser, "#result") == text)
    assert "picked" in tokens(browser)[1].get_attribute("class")
    assert [find(browser, f"[name={name}]").get_property("value") for name in ("temperature", "top_k")] == ["1.3", "0"]
    assert find(browser, "#seed").get_property("value") == str(SEED)
    opened(browser, port, "#prompt=<b>가&seed=1&model=다른_모델&nope=1")
    assert "다른_모델" in text_of(browser, "#look")
    assert written(browser).startswith("<b>가")


def test_a_character_of_several_tokens_is_written_once_and_each_of_them_is_a_button(browser, port, mini_service):
    ids = mini_service.tokenizer.encode("\u4f60")[-3:]  # a character that the vocabulary has in bytes alone
    page = opened(browser, port, "#prompt=긍정&seed=1&max_length=30&prefix=" + ".".join(map(str, [*ids, *ids])))
    assert written(page).count("\u4f60") == 2
    buttons = tokens(page)[:6]
    assert [int(each.get_attribute("data-token")) for each in buttons] == [*ids, *ids]
    assert [each.get_property("textContent") for each in buttons] == ["\u4f60", "", ""] * 2
    page.execute_script("arguments[0].click()", buttons[1])
    wait(page, lambda: "X-ray: 토큰 2 ‘<0x" in text_of(page, "#xray h2"))


# Compare, predict, history


def test_settings_side_by_side_with_the_same_seed(page, port):
    fill(page, prompt="긍정", seed=SEED)
    put, run = page.find_elements("css selector", "#compare > .row button")[:2]
    put.click()
    fill(page, temperature="0")
    put.click()
    fill(page, temperature="1.8", top_k="0")
    put.click()
    run.click()
    wait(page, lambda: "나란히 이어 썼습니다" in text_of(page, "#compare .note"))
    texts = [each.get_property("textContent") for each in page.find_elements("css selector", "#compare .text")]
    expected = [ask(port, "/api", {"prompt": "긍정", "seed": SEED, **knobs})["result"]
                for knobs in ({}, {"temperature": 0}, {"temperature": 1.8, "top_k": 0})]
    assert texts == expected
    marked = page.find_elements("css selector", "#compare article:nth-of-type(3) li mark")
    assert len(marked) == 2
    assert "A: " in marked[0].text
    assert page.find_elements("css selector", "#compare article:nth-of-type(2) .text mark")


def test_a_prediction_is_answered_by_ones_own_run(page):
    fill(page, prompt="긍정", seed=SEED)
    Select(find(page, "#predict select")).select_by_value("max_length")
    answers = page.find_elements("css selector", "#predict .row button")
    assert [each.text for each in answers] == ["늘어난다", "거의 같다", "줄어든다"]
    answers[2].click()
    wait(page, lambda: "맞았습니다" in text_of(page, "#predict .outcome"))
    numbers = re.search(r"\(([\d.]+)개 → ([\d.]+)개\)", text_of(page, "#predict .outcome"))
    assert float(numbers[1]) > float(numbers[2])
    page.find_elements("css selector", "#predict .row button")[0].click()
    wait(page, lambda: "예상과 다릅니다" in text_of(page, "#predict .outcome"))


def test_the_history_lasts_for_the_session_and_runs_again(page, browser, port):
    text = send(page, prompt="부정 별로", seed=3, top_k="7")
    send(page, prompt="긍정", seed="", top_k="")
    opened(browser, port)
    entry = page.find_elements("css selector", "#history li")[1]
    assert text in entry.text
    assert "top_k=7" in entry.text
    copy, again, link = entry.find_elements("css selector", "button")
    again.click()
    assert written(browser) == text
    assert find(browser, "#prompt").get_property("value") == "부정 별로"


# For everybody


def test_a_composed_hangul_enter_sends_nothing(page):
    fill(page, prompt="긍정 이 영화")
    find(page, "#prompt").click()
    page.execute_cdp_cmd("Input.imeSetComposition", {"text": "느", "selectionStart": 1, "selectionEnd": 1})
    page.execute_script("""
        const key = new KeyboardEvent("keydown", {key: "Enter", isComposing: true, bubbles: true, cancelable: true});
        document.querySelector("#prompt").dispatchEvent(key);
        const old = new KeyboardEvent("keydown", {key: "Enter", keyCode: 229, bubbles: true, cancelable: true});
        document.querySelector("#prompt").dispatchEvent(old);""")
    assert text_of(page, "#send") == "이어 쓰기"
    assert text_of(page, "#result") == ""
    page.execute_cdp_cmd("Input.insertText", {"text": "는"})
    assert find(page, "#prompt").get_property("value").endswith("영화는")
    press(page, "ENTER")
    assert written(page).startswith("긍정 이 영화는")


@contextmanager
def phone(browser, width: int = 360, height: int = 640):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 2, "mobile": True})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_on_a_phone_the_button_is_on_the_first_screen_and_the_xray_a_sheet(browser, port):
    with phone(browser):
        page = opened(browser, port)
        assert find(page, "#send").rect["y"] + find(page, "#send").rect["height"] < 640
        send(page, prompt="긍정", seed=SEED)
        assert page.execute_script("return innerWidth") == 360  # it would grow with what is too wide
        tokens(page)[1].click()
        wait(page, lambda: find(page, "#xray").is_displayed())
        box = page.execute_script("return document.querySelector('#xray').getBoundingClientRect().toJSON()")
        assert (box["left"], box["right"], box["bottom"]) == (0, 360, 640)
        assert box["top"] > 200
        first = page.execute_script("return document.querySelector('[data-token]').getBoundingClientRect().toJSON()")
        assert 0 < first["top"] < box["top"]  # the text is above the sheet
        assert page.execute_script("""const sheet = document.querySelector("#xray");
            return sheet.scrollWidth <= sheet.clientWidth""")
        assert all(button.rect["height"] >= 28 for button in candidates(page)[:5])


def test_everything_has_a_name_and_one_region_is_live(page):
    send(page, prompt="긍정", seed=SEED)
    tokens(page)[0].click()
    wait(page, lambda: candidates(page))
    page.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    tree = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "textbox", "slider", "checkbox", "switch", "combobox"}
    nameless = [node for node in tree if not node["ignored"] and node["role"]["value"] in roles
                and not node.get("name", {}).get("value")]
    assert nameless == []
    assert len(page.find_elements("css selector", "[aria-live], [role=status], [role=alert]")) == 1
    assert page.execute_script("""return [...document.querySelectorAll("#result [data-token]")].filter(
        (button) => button.tabIndex === 0).length""") == 1
    assert not page.find_elements("css selector", "[accesskey]")


def test_it_is_dark_in_the_dark_and_still_for_who_wants_it_still(page):
    def colours():
        return page.execute_script("""const style = getComputedStyle(document.body);
            return [style.backgroundColor, style.color].map((colour) => Number(/\\d+/.exec(colour)[0]))""")

    light = colours()
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-color-scheme", "value": "dark"}, {"name": "prefers-reduced-motion", "value": "reduce"}]})
    dark = colours()
    send(page, prompt="긍정", seed=SEED)
    tokens(page)[0].click()
    wait(page, lambda: candidates(page))
    moves = page.execute_script("""return [...document.querySelectorAll("*")].filter(
        (each) => getComputedStyle(each).transitionDuration !== "0s").length""")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert light[0] > 200 > 100 > light[1]
    assert dark[0] < 50 < 200 < dark[1]
    assert moves == 0


# Engines that lack something


@pytest.mark.parametrize("kind", ["function", "no steps"])
def test_what_an_engine_lacks_is_said_and_the_rest_works(browser, kind):
    service = echo_service()
    service.engine.has_steps = service.engine.has_seed = False
    app = get_web_service_app(
        (lambda prompt, *knobs, **named: {"result": prompt + " 끝"}) if kind == "function" else service)
    with listening(app) as port:
        page = opened(browser, port)
        assert "토큰별 확률(X-ray)" in text_of(page, ".missing")
        assert ("쓰는 대로 보기" in text_of(page, ".missing")) == (kind == "function")
        assert not find(page, "#seed-row").is_displayed()
        text = send(page, prompt="가나", max_length="9")
        assert text == ("가나 끝" if kind == "function" else "가나가나가나가나가")
        assert send(page, prompt="다라").startswith("다라")
        find(page, "#undo").click()
        assert text_of(page, "#result") == text
        fill(page, prompt="가나")
        assert error(page) is None
        assert not find(page, "#stop").is_enabled()
        assert not find(page, "#xray").is_displayed()
        put, run = page.find_elements("css selector", "#compare > .row button")[:2]
        put.click()
        fill(page, max_length="12")
        put.click()
        run.click()
        wait(page, lambda: "나란히 이어 썼습니다" in text_of(page, "#compare .note"))
        assert not page.find_elements("css selector", "#compare .error")
        assert ("새 토큰 7개" in text_of(page, "#compare article")) == (kind != "function")
        lacks = {"min_length": kind == "function", "temperature": True}
        for knob, is_lacking in lacks.items():
            Select(find(page, "#predict select")).select_by_value(knob)
            assert ("이 엔진은" in text_of(page, "#predict .outcome")) == is_lacking
    service.close()


def test_before_another_servers_engine_the_page_says_what_is_missing(browser, port):
    """The probabilities are there, and other candidates can be picked; what the engine does not tell is said."""
    args = GenerationDeployArguments(
        pretrained_model_name="kogpt-mini", engine="openai", engine_url=f"http://127.0.0.1:{port}")
    service = GenerationService(args=args)
    with listening(get_web_service_app(service)) as own:
        page = opened(browser, own)
        assert "엔진 openai(task3-gen)" in text_of(page, "#model")
        assert "이 엔진에 없는 것: X-ray의 일부" in text_of(page, "#model")
        text = send(page, prompt="긍정", seed=SEED, max_length=20)
        assert text == service("긍정", seed=SEED, max_length=20)["result"]
        tokens(page)[1].click()
        wait(page, lambda: candidates(page))
        assert len(candidates(page)) >= 20
        assert "모델이 준 확률만 알려 줍니다" in text_of(page, "#xray")
        shown = [part.text for part in page.find_elements("css selector", "#xray thead th")]
        assert shown == ["후보", "", "모델"]
        assert not find(page, "#xray .quick").is_displayed()
        other = next(each for each in candidates(page) if "쓴 토큰" not in each.get_attribute("aria-label"))
        picked = other.get_attribute("data-candidate")
        other.click()
        assert written(page) != text
        assert tokens(page)[1].get_attribute("data-token") == picked
        assert error(page) is None
        tokens(page)[0].click()  # what the engine does not tell of a prefix is known from before
        wait(page, lambda: text_of(page, "#xray h2").startswith("X-ray: 토큰 1 "))
        Select(find(page, "#predict select")).select_by_value("top_p")
        assert "이 엔진은 남은 후보의 수 없이 답합니다" in text_of(page, "#predict .outcome")
        service.engine.available = False  # as where it does not answer
        fill(page, seed=SEED + 1)
        find(page, "#send").click()
        wait(page, lambda: text_of(page, "#status").startswith("엔진에 연결되지 않습니다."))
        service.engine.available = True
        assert written(page) == service("긍정", seed=SEED + 1, max_length=20)["result"]
    service.close()
