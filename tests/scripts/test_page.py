"""The page in a real Chromium that reaches nothing but this machine."""

import pytest
from helpers import Served, chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile"), "--window-size=900,1000") as driver:
        yield driver


@pytest.fixture(scope="module")
def page(browser, finetuned_folder):
    with Served("serve_gen-0.py", "--downstream_model_dir", finetuned_folder) as served:
        browser.get(f"http://127.0.0.1:{served.port}/")
        yield browser


def send(page, **values):
    """Fill the form, press the button, and wait for what appears: the text, and whether it is shown as an error."""
    from selenium.webdriver.support.wait import WebDriverWait

    for name, value in values.items():
        field = page.find_element("name", name)
        field.clear()
        field.send_keys(value)
    page.find_element("id", "send").click()
    result = page.find_element("id", "result")
    WebDriverWait(page, 30).until(lambda _: page.find_element("id", "send").is_enabled() and result.text != "쓰는 중…")
    return result.text, "error" in (result.get_attribute("class") or "")


def test_a_prompt_is_continued_with_all_boxes_blank(page):
    text, is_error = send(page, prompt="긍정")
    assert text.startswith("긍정")
    assert len(text) > 2
    assert not is_error


def test_greedy_is_the_same_twice(page):
    assert send(page, prompt="부정", temperature="0") == send(page, prompt="부정", temperature="0")


def test_an_error_is_shown_in_korean_and_goes_away(page):
    text, is_error = send(page, temperature="", top_p="2")
    assert is_error
    assert text == "top_p: 0보다 크고 1 이하여야 하는데 2입니다."
    text, is_error = send(page, top_p="")
    assert not is_error


def test_html_is_text(page):
    text, _ = send(page, prompt="<img src=x onerror=document.title='당했다'> 가")
    assert text.startswith("<img src=x")
    assert page.title == "문장 생성"
    assert not page.find_elements("css selector", "output *")


def test_the_page_asks_for_nothing_from_elsewhere(page):
    names = page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert all(name.startswith(("http://127.0.0.1:", "data:")) for name in names)
    errors = [entry for entry in page.get_log("browser")
              if entry["level"] == "SEVERE" and "400" not in entry["message"]]
    assert errors == []


def test_a_stopped_server_is_told(browser, finetuned_folder):
    with Served("serve_gen-0.py", "--downstream_model_dir", finetuned_folder) as served:
        browser.get(f"http://127.0.0.1:{served.port}/")
    text, is_error = send(browser, prompt="긍정")
    assert is_error
    assert "서버에 닿지 않습니다" in text
