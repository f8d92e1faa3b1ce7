"""Step 1: the model by its name, the tokenizer with its eos, the weights, and greedy search by ``generate``."""

from pathlib import Path

from ..checking import Missing, Run, Todo, Wrong
from ..judging import check_bundled_model, check_search

LENGTHS = {"min_length": 10, "max_length": 50}


def flags(folder: Path) -> list[str]:
    return ["--prompt", "오늘 극장에서", "--seed", "11", "--output_dir", str(folder)]


def check_name(run: Run) -> None:
    name = run["model_name"]
    if not isinstance(name, str):
        raise Wrong(f"model_name은 문자열이어야 하는데 {type(name).__name__}입니다. 이름을 따옴표로 감쌌나요?")
    from ratsnlp.nlpbook.paths import KOGPT_MINI

    if name != "kogpt-mini" and Path(name).resolve() != KOGPT_MINI:
        raise Wrong(f"{name!r}: 저장소에 든 모델의 이름이 아닙니다. 인터넷 없이 쓰는 0번 모델의 이름을 적으세요. "
                    "다른 모델은 실행할 때 --model로 바꿀 수 있습니다.")


def check_eos(run: Run) -> None:
    eos = run["eos_token"]
    if eos == "<|endoftext|>":
        raise Wrong("<|endoftext|>는 Polyglot-Ko나 영어 GPT-2의 끝 토큰입니다. kogpt-mini의 어휘에는 없어서, 이대로면 "
                    "생성이 어디서 끝나는지 모릅니다.")
    if eos == "<s>":
        raise Wrong("<s>는 시작을 표시하는 토큰(bos)입니다. 끝을 표시하는 토큰(eos)을 적으세요.")
    if eos != "</s>":
        raise Wrong(f"{eos!r}: kogpt-mini가 텍스트의 끝에 쓰는 토큰이 아닙니다. kogpt-mini/tokenizer_config.json에 "
                    "적혀 있습니다.")


def check_model(run: Run) -> None:
    check_bundled_model(run["model"])


def check_greedy(run: Run) -> None:
    given = run["greedy_ids"]
    prompts = (run.flag("prompt"), "점심", "안녕하세요")
    for prompt in prompts:
        if not isinstance(given, dict) or prompt not in given:
            raise Missing(f"greedy_ids[{prompt!r}]")
        check_search(run, given[prompt], prompt, f"greedy_ids[{prompt!r}]", dict(do_sample=False, **LENGTHS), {
            "빔 서치의 결과입니다. 그리디 서치는 빔이 하나입니다(num_beams를 적지 않습니다).":
                dict(do_sample=False, num_beams=3, **LENGTHS),
            "min_length를 정하지 않아 일찍 끝났습니다. 10으로 하세요.": dict(do_sample=False, max_length=50),
            "max_length를 정하지 않아 20토큰에서 잘렸습니다. 50으로 하세요.": dict(do_sample=False, min_length=10),
            "길이를 정하지 않았습니다. min_length와 max_length를 함께 넘기세요.": dict(do_sample=False),
            "max_new_tokens는 새 토큰만 셉니다. 프롬프트를 포함한 길이는 max_length입니다.":
                dict(do_sample=False, min_length=10, max_new_tokens=50),
        })


TODOS = [
    Todo("모델의 이름", check_name, (
        "README.md의 표에서 0번 모델의 이름입니다.",
        "task3-gen 폴더 안에 그 이름의 폴더가 있습니다.",
        '따옴표로 감싼 문자열입니다: "kogpt-…"',
    )),
    Todo("토크나이저의 끝 토큰", check_eos, (
        "task3-gen/kogpt-mini/tokenizer_config.json 파일을 열어 eos_token을 찾아보세요.",
        "HTML의 닫는 태그처럼 생겼습니다. 시작 토큰은 <s>입니다.",
        'KoGPT2와 같습니다: 따옴표 안에 <, /, s, >를 차례로 적으세요.',
    )),
    Todo("사전 학습한 모델", check_model, (
        "파일 맨 위에서 import한 함수 가운데 모델을 불러오는 것이 있습니다.",
        "load_model에는 모델의 이름과 토크나이저가 필요합니다.",
        "load_model(이름, 토크나이저)가 반환하는 것을 그대로 넣으면 됩니다.",
    )),
    Todo("그리디 서치", check_greedy, (
        "model.generate(input_ids, …)를 부르세요. 뽑지 않으려면 do_sample을 어떻게 해야 할까요?",
        "길이는 min_length와 max_length입니다. 둘 다 프롬프트를 포함합니다.",
        "model.generate(input_ids, do_sample=…, min_length=…, max_length=…)에서 값만 채우세요.",
    )),
]
