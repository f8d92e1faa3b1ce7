"""Remake the figures of kogpt-mini in the documents: run the commands and write their results between the marks.

    make figures                                   # all of it
    python docs/figures.py compare                 # one
    make figures NSMC_ROOT=~/Korpora               # with the short rungs of the ladder

A figure stands in a document between ``<!-- figure: NAME -->`` and ``<!-- /figure -->``. The rows of the ladder come
from ``output/ladder`` (``make ladder``); one that has no report there stays as it is.
"""

import doctest
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS, OUTPUT, LADDER = REPOSITORY / "task3-gen", REPOSITORY / "output" / "figures", REPOSITORY / "output" / "ladder"
PAGES = ("README.md", "docs/differences.md", "docs/decoding.md", "task3-gen/kogpt-mini/README.md")
SEED = 1  # of the first texts in the README, and of its picture
MARKED = re.compile(r"(<!-- figure: ([\w-]+) -->\n)(.*?)(<!-- /figure -->)", re.DOTALL)
RUNGS = {  # in output/ladder, as `make ladder` names them
    "untrained": "학습 전(무작위 가중치)", "pretrained": "사전 학습만", "scratch": "사전 학습 없이 NSMC로 파인튜닝",
    "mini": "사전 학습하고 작은 말뭉치로 파인튜닝", "nsmc": "사전 학습하고 NSMC로 파인튜닝",
    "longer": "사전 학습하고 NSMC로 두 에폭 파인튜닝",
    "contrast": "사전 학습하고 NSMC로 파인튜닝(`--recipe contrast`)",
    "book": "사전 학습하고 NSMC로 파인튜닝(`--recipe book`, 책의 길이 32토큰)"}


def run(script: str, *flags) -> str:
    """What a script prints; its progress is shown as it goes."""
    command = [sys.executable, str(SCRIPTS / script), *map(str, flags)]
    print("$", script, *flags, file=sys.stderr)
    return subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def read(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8"))


def trained(name: str, *flags) -> tuple[dict, float]:
    """The record of a training of ``train_gen-0.py``, and the seconds that the whole command took."""
    shutil.rmtree(OUTPUT / name, ignore_errors=True)  # compare_gen.py takes the folder's lowest val_loss
    started = time.perf_counter()
    run("train_gen-0.py", "--downstream_model_dir", OUTPUT / name, *flags)
    return read(OUTPUT / name / "train_record.json"), time.perf_counter() - started


def best(record: dict) -> dict:
    return min(record["epochs"], key=lambda epoch: epoch["val_loss"])


def table(header: str, rows: list[list[str]]) -> str:
    """A table in Markdown; ``header`` as it is there."""
    rule = "|" + " --- |" * (header.count("|") - 1)
    return "\n".join([header, rule, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def demo(_) -> str:
    record, seconds = trained("demo")
    epoch = best(record)
    script = SCRIPTS / "train_gen-0.py"
    said = rf"\g<1>{seconds:.0f}\g<2>{epoch['val_loss']:.2f}"
    text, count = re.subn(
        r"(CPU\s두\s코어에서\s)\d+(초,\sval_loss는\s)[\d.]+", said, script.read_text(encoding="utf-8"))
    if count != 1:
        raise SystemExit(f"{script}: 시간과 val_loss를 적은 줄이 없습니다.")
    script.write_text(text, encoding="utf-8")
    return table("| 명령 | 시간 | val_loss | 글자당 비트 |", [[
        "`task3-gen/train_gen-0.py` (작은 말뭉치 2,700개)", f"{seconds:.0f}초 (학습 {record['seconds']:.0f}초)",
        f"{epoch['val_loss']:.3f}", f"{epoch['val_bits_per_char']:.3f}"]])


def demo_folder() -> Path:
    """Where ``demo`` has trained a model."""
    if not (OUTPUT / "demo" / "train_record.json").is_file():
        trained("demo")
    return OUTPUT / "demo"


def first(_) -> str:
    """A text for each control word, and the command that writes it."""
    flags = ("--do_sample", "--top_p", 0.9, "--seed", SEED)
    texts = [run("generate.py", "--model_name_or_path", demo_folder(), "--prompt", word, *flags).strip()
             for word in ("긍정", "부정")]
    quoted = " <br>\n> ".join(f"**{text[:2]}**{text[2:]}" for text in texts)
    shown = "output/nsmc-gen/train_gen-by-kogpt-mini"  # where the README's reader has trained it
    command = f"task3-gen/generate.py --model_name_or_path {shown} --prompt 긍정 {' '.join(map(str, flags))}"
    return f"> {quoted}\n\n파인튜닝한 kogpt-mini가 생성한 텍스트입니다: `python {command}`\n"


def pictures(before: str) -> str:
    """docs/loss.png, the curve of five epochs, and docs/page.png, the page with an X-ray open."""
    from PIL import Image

    docs = REPOSITORY / "docs"
    trained("curve", "--recipe", "standard", "--epochs", 5)
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder, "page.png")
        take_picture(shot, folder)
        for source, target in ((OUTPUT / "curve" / "loss.png", docs / "loss.png"), (shot, docs / "page.png")):
            with Image.open(source) as image:
                image.convert("RGB").quantize(256).save(target, optimize=True)
    return before


def take_picture(file: Path, folder: str) -> None:
    """Of the page that ``serve_gen-0.py`` serves, in Chromium; ``folder`` is for what the browser leaves behind."""
    sys.path.append(str(REPOSITORY / "tests"))
    import koreanize_matplotlib
    from helpers import Served, chromium, text_of, wait

    fonts = Path(koreanize_matplotlib.__file__).with_name("fonts")
    config = Path(folder, "fonts.conf")
    others = '<include ignore_missing="yes">/etc/fonts/fonts.conf</include>'
    config.write_text(f"<fontconfig><dir>{fonts}</dir>{others}</fontconfig>", encoding="utf-8")
    os.environ["FONTCONFIG_FILE"] = str(config)
    with Served("serve_gen-0.py", "--downstream_model_dir", demo_folder()) as served, chromium(
            Path(folder), "--window-size=1100,1340") as driver:
        link = urlencode({"prompt": "긍정", "top_p": 0.9, "seed": SEED})
        driver.get(f"http://127.0.0.1:{served.port}/#{link}")
        wait(driver, lambda: text_of(driver, "#told"))
        driver.find_elements("css selector", "[data-token]")[2].click()
        wait(driver, lambda: driver.find_elements("css selector", "[data-candidate]"))
        driver.execute_script("window.scrollTo(0, 0)")
        driver.save_screenshot(str(file))


def compare(_) -> str:
    demo_folder()
    told = run("compare_gen.py", "--downstream_model_dir", OUTPUT / "demo", "--samples", 500)
    texts, shares = told[: told.index("| |")].strip(), told[told.index("| |") :].strip()
    lines = []
    for line in texts.splitlines():  # headings, and texts set off by two spaces, as lists
        marked = re.sub(r"([*_<`|~\\])", r"\\\1", line.strip())
        lines.append(f"- {marked}" if line.startswith("  ") else f"**{marked}**\n" if marked else "")
    return "\n".join(lines) + f"\n\n{shares}\n"


def ways(_) -> str:
    """What each way of beginning and learning brings, by compare_gen.py."""
    half = OUTPUT / "corpus" / "roundabout"
    half.mkdir(parents=True, exist_ok=True)
    for mode in ("train", "test"):
        text = (SCRIPTS / "data" / "mini" / f"ratings_{mode}.txt").read_text(encoding="utf-8")
        lines = text.splitlines(keepends=True)
        kept = [line for line in lines[1:] if mode == "test" or int(line.split("\t")[0]) <= 1598]
        (half / f"ratings_{mode}.txt").write_text("".join([lines[0], *kept]), encoding="utf-8")
    before, rows, standard = "", [], ("--recipe", "standard", "--epochs", 2)
    for label, *flags in (
            ["`train_gen-0.py`"],
            ["`--epochs 2`", "--epochs", 2],
            ["`--recipe standard --epochs 2`", *standard],
            ["`--recipe standard --epochs 2 --keep_control_words`(제어 단어를 초기화하지 않음)", *standard,
             "--keep_control_words"],
            ["`--recipe standard --epochs 2`(감상을 돌려 말한 리뷰 1,398개만)", *standard,
             "--downstream_corpus_root_dir", half.parent, "--downstream_corpus_name", half.name]):
        record, _ = trained("way", *flags)
        told = run("compare_gen.py", "--downstream_model_dir", OUTPUT / "way", "--samples", 500)
        before, after = re.findall(r"^\| 파인튜닝 . \| (.*) \|$", told, re.MULTILINE)
        rows.append([label, after, f"{record['seconds']:.0f}"])
    return table("| | 긍정 | 부정 | 둘 다 | 글자당 비트 | 학습 시간(초) |", [["파인튜닝하지 않음", before, ""], *rows])


def recipes(_) -> str:
    rows = []
    for flags in ("book --epochs 2 --max_seq_length 32", "standard --epochs 2 --max_seq_length 32",
                  "standard --epochs 2", "standard --epochs 2 --batch_size 32"):
        flags = f"--recipe {flags}"
        epoch = best(trained("recipe", *flags.split())[0])
        rows.append([f"`python task3-gen/train_gen-0.py {flags}`", f"{epoch['val_loss']:.3f}",
                     f"{epoch['val_bits_per_char']:.3f}"])
    return table("| 명령 | val_loss | val_bits_per_char |", rows)


def untouched(_) -> str:
    told = run("eval_gen.py", "--report_dir", OUTPUT / "untouched")
    return told[told.index("| |") : told.rindex("|") + 1] + "\n"


def ladder(before: str) -> str:
    """The rungs that have a report; the others, and what people wrote, as they were before."""
    there = {line.split(" | ")[0].removeprefix("| "): line for line in before.splitlines()[2:]}
    for name, label in RUNGS.items():
        if (LADDER / name / "report.json").is_file():
            report = read(LADDER / name / "report.json")
            both, wrote, human = report["control"]["둘 다"], report["diversity"]["model"], report["diversity"]["human"]
            low, high = both["interval"]
            shares = f"{both['accuracy']:.1%} ({low * 100:.1f}–{high * 100:.1f})"
            row = [label, f"{report['bits_per_char']:.3f}", shares, *_of_texts(wrote, f"{report['ended']:.1%}")]
            there[label] = f"| {' | '.join(row)} |"
            people = ["*사람이 쓴 테스트 리뷰*", "", f"{both['human_accuracy']:.1%}", *_of_texts(human, "")]
            there[people[0]] = f"| {' | '.join(people)} |"
    order = [*RUNGS.values(), "*사람이 쓴 테스트 리뷰*"]
    return "\n".join([*before.splitlines()[:2], *(there[label] for label in order if label in there)]) + "\n"


def _of_texts(of: dict, ended: str) -> list[str]:
    return [f"{of['distinct_2']:.3f}", f"{of['repeated_4grams']:.1%}", f"{of['mean_syllables']:.1f}", ended,
            f"{of['verbatim']:.1%}", f"{of['verbatim_long']:.1%}"]


def samples(before: str) -> str:
    if not (LADDER / "nsmc" / "report.json").is_file():
        return before
    texts = read(LADDER / "nsmc" / "report.json")["samples"]
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, start=1)) + "\n"


def tuned(*flags) -> str:
    """What infer_gen-0.py prints of the model that ``demo`` trained, asked for 긍정."""
    return run("infer_gen-0.py", "--downstream_model_dir", demo_folder(), "--input_sentence", "긍정", *flags)


def tour(_) -> str:
    told = tuned("--only", 1, 9, 14, 15)
    seconds_left_out = re.sub(r" · \d+\.\d\d초", "", told[told.index("[1]") :])
    return f"```text\n{seconds_left_out.strip()}\n```\n"


def knobs(_) -> str:
    """What each way to cut leaves, and how diverse and how long the texts are, beside what people wrote."""
    tuned("--only", 1, 2, 9, 14, 16, *range(17, 29), "--samples", 200, "--report", OUTPUT / "knobs")
    report = read(OUTPUT / "knobs" / "report.json")
    rows = [["사람의 리뷰", "", "", *_of_knob(report["human"][0])]]
    for setting in report["settings"]:
        outcome = setting["outcomes"][0]
        left = f"{outcome['candidates'][-1][1]:,.0f}" if setting["options"].startswith("do_sample=True") else ""
        named = re.sub(r"(do_sample=\w+|m(?:in|ax)_length=\d+)(, )?", "", setting["options"]).strip(", ")
        rows.append([setting["label"], f"`{named}`" if named else "", left,
                     *_of_knob(outcome["figures"])])
    return table("| 설정 | 옵션 | 남은 후보 | distinct-2 | 반복된 4-gram | 평균 길이(음절) | eos로 끝남 "
                 "| 토큰당 로그확률 |", rows)


def _of_knob(of: dict) -> list[str]:
    ended = "" if of["ended"] is None else f"{of['ended']:.0%}"
    return [f"{of['distinct_2']:.3f}", f"{of['repeated_4grams']:.1%}", f"{of['mean_syllables']:.1f}", ended,
            f"{of['log_prob']:.2f}"]


def order(_) -> str:
    """What top-p 0.92 leaves with the temperature as the first of the steps, and as the last."""
    rows = []
    for temperature in (0.7, 1.0, 1.5, 2.0):
        row = [f"{temperature}"]
        for last in ("false", "true"):
            tuned("--only", 18, "--temperature", temperature, "--top_p", 0.92, "--top_k", 0, "--temperature_last", last,
                  "--samples", 50, "--report", OUTPUT / "order")
            (outcome,) = read(OUTPUT / "order" / "report.json")["settings"][1]["outcomes"]
            row.append(f"{dict(outcome['candidates'])['top_p']:,.0f}")
        rows.append(row)
    return table("| temperature | 온도 먼저(transformers) | 온도 나중(llama.cpp) |", rows)


def speed(_) -> str:
    told = json.loads(run("bench_gen.py", "--what", "decoding", "--rounds", 5).splitlines()[-1])

    def times(slow: list[float], fast: list[float]) -> str:
        each = [one / other for one, other in zip(slow, fast, strict=True)]
        return f"{statistics.median(each):.1f}배 ({min(each):.1f}–{max(each):.1f})"

    rows = [[f"텍스트 {row['texts']}개", f"{statistics.median(row['one']):.1f}초",
             f"{statistics.median(row['batch']):.1f}초", times(row["one"], row["batch"])] for row in told["tour"]]
    tables = [table("| 열여섯 설정 | 하나씩 | 한 배치로 | 속도 |", rows)]
    for name, sizes in told["tokens_per_second"].items():
        rows = [[way, *(cell for rates in sizes.values() for cell in (
            f"{statistics.median(rates[way]):,.0f}", times(rates[way], rates["transformers"])))]
            for way in sizes["1"]]
        tables.append(table(f"| {name} | 배치 1: 토큰/초 | 속도 | 배치 16: 토큰/초 | 속도 |", rows))
    shares = ", ".join(f"{kind} {share:.1%}" for kind, share in told["equal"].items())
    return "\n".join([*tables, f"그리디 서치의 텍스트가 transformers와 같은 비율(kogpt-mini, 200개): {shares}\n"])


FIGURES = {function.__name__: function for function in (
    demo, first, pictures, compare, ways, recipes, untouched, ladder, samples, tour, knobs, order, speed)}


def write_examples() -> None:
    """What the ``>>>`` lines of the documents give today. See with ``git diff`` that nothing but figures changed."""
    for page in (REPOSITORY / "docs").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
        lines, given = text.splitlines(keepends=True), []

        class Runner(doctest.DocTestRunner):
            def report_failure(self, out, test, example, got):
                given.append((example, got))  # noqa: B023

        Runner(optionflags=doctest.ELLIPSIS, verbose=False).run(test, out=lambda text: None)
        for example, got in reversed(given):
            start = example.lineno + example.source.count("\n")
            lines[start : start + example.want.count("\n")] = got.splitlines(keepends=True)
        page.write_text("".join(lines), encoding="utf-8")


def main(names: list[str]) -> None:
    unknown = set(names) - FIGURES.keys() - {"examples"}
    if unknown:
        raise SystemExit(f"없는 이름: {', '.join(unknown)}. 쓸 수 있는 이름: {', '.join([*FIGURES, 'examples'])}")
    for name, function in FIGURES.items():
        for page in PAGES if not names or name in names else ():
            file = REPOSITORY / page
            for mark in MARKED.finditer(file.read_text(encoding="utf-8")):
                if mark[2] == name:
                    made = function(mark[3])
                    text = file.read_text(encoding="utf-8")
                    file.write_text(text.replace(mark[0], mark[1] + made + mark[4]), encoding="utf-8")
                    print(f"{page}: {name}", file=sys.stderr)
    if not names or "examples" in names:
        sys.path.insert(0, str(SCRIPTS))
        write_examples()


if __name__ == "__main__":
    main(sys.argv[1:])
