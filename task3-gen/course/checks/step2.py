"""Step 2: beam search, top-k and top-p sampling, and the same setting three times."""

from pathlib import Path

from ..checking import Missing, Run, Todo, Wrong
from ..judging import check_draw, check_search, check_starts_with, ids_of

LENGTH = 40  # tokens of each text: enough of them to tell a draw's setting from a wrong one
LENGTHS = {"min_length": LENGTH, "max_length": LENGTH}
TOP_K = {"top_k": 50, "min_length": LENGTH}
TOP_P = {"top_p": 0.92, "min_length": LENGTH}
NOT_DRAWN = "뽑은 것이 아니라 그리디 서치의 결과입니다. do_sample을 정하지 않으면 top_k나 top_p가 있어도 뽑지 않습니다."


def flags(folder: Path) -> list[str]:
    return ["--prompt", "어제 본 드라마는", "--seed", "11", "--min_length", str(LENGTH), "--max_length", str(LENGTH),
            "--samples", "1", "--output_dir", str(folder)]


def check_beams(run: Run) -> None:
    beams = run.call_of(ids_of(run["beam_ids"], "beam_ids")).get("num_beams", 1)
    if beams not in (1, 3):  # which may come to the same text as three
        more = " 빔이 많다고 더 좋은 텍스트가 되는 것도 아닙니다." if beams > 3 else ""
        raise Wrong(f"beam_ids: 빔이 {beams}개입니다. 세 개로 하세요.{more}")
    check_search(run, run["beam_ids"], run.flag("prompt"), "beam_ids", dict(do_sample=False, num_beams=3, **LENGTHS), {
        "그리디 서치의 결과입니다. 빔의 개수(num_beams)를 정하지 않으면 빔은 하나입니다.":
            dict(do_sample=False, **LENGTHS),
        "길이를 정하지 않았습니다. **lengths를 그대로 두세요.": dict(do_sample=False, num_beams=3),
    })


def check_one(run: Run, given, what: str) -> list[int]:
    """The token ids of one text, which goes on with the prompt up to the length that was asked for."""
    ids = ids_of(given, what)
    check_starts_with(run, ids, run.flag("prompt"), what)
    call = run.call_of(ids)
    if call.get("num_beams", 1) > 1:
        raise Wrong(f"{what}: " + (
            "빔 서치에 do_sample=True를 함께 넘겼습니다. 빔마다 뽑은 것이라 샘플링도 빔 서치도 아닙니다. 샘플링에는 "
            "num_beams를 적지 않습니다." if call.get("do_sample") else "빔 서치의 결과입니다. 찾지 말고 뽑으세요."))
    if len(ids) != LENGTH:
        raise Wrong(f"{what}: 길이가 {LENGTH}토큰이어야 하는데 {len(ids)}토큰입니다. min_length와 max_length를 담은 "
                    "**lengths를 그대로 두세요.")
    return ids


def check_drawn(run: Run, ids: list[int], what: str, right: dict, wrong: dict[str, dict], margin: float = 7.0) -> None:
    """Raises Wrong unless ``ids`` were drawn with ``right``. A setting so close to it that its draws look alike is told
    by the call of ``generate`` that gave them."""
    check_draw(ids, run.flag("prompt"), what, right, wrong, margin)
    call = run.call_of(ids)
    for name, value in {"temperature": 1.0, **right}.items():
        if name != "min_length" and call.get(name) not in (value, None):
            raise Wrong(f"{what}: {name}={call[name]}에서 뽑았습니다. " + (
                "온도는 3단계에서 다룹니다. 여기서는 적지 마세요." if name == "temperature"
                else f"{value}이어야 합니다." if name == "top_k" else f"{value}여야 합니다."))


def temperatures(setting: dict) -> dict[str, dict]:
    """What ``setting`` becomes with a temperature beside it."""
    return {f"온도를 {temperature}쯤으로 바꾼 결과로 보입니다. 온도는 3단계에서 다룹니다. 여기서는 적지 마세요.":
            {"temperature": temperature, **setting} for temperature in (0.5, 0.7, 1.5, 2.0)}


def check_top_k(run: Run) -> None:
    check_drawn(run, check_one(run, run["top_k_ids"], "top_k_ids"), "top_k_ids", TOP_K, {
        NOT_DRAWN: {**TOP_K, "top_k": 1},
        "후보가 50개보다 훨씬 적습니다. top_k에 넣은 수를 다시 보세요.": {**TOP_K, "top_k": 5},
        "후보가 50개보다 적습니다. top_k에 넣은 수를 다시 보세요.": {**TOP_K, "top_k": 20},
        "확률 순위가 50위 밖인 토큰이 들어 있습니다. top_k=0은 후보를 줄이지 않는다는 "
        "뜻입니다.": {"min_length": LENGTH},
        "확률 순위가 50위 밖인 토큰이 들어 있습니다. top_k에 넣은 수를 다시 보세요.": {**TOP_K, "top_k": 200},
        "top_p로 줄인 결과입니다. 여기서는 후보의 개수를 정합니다.": TOP_P,
        **temperatures(TOP_K),
    })


WRONG_TOP_P = {
    NOT_DRAWN: {**TOP_K, "top_k": 1},
    "후보를 50개로도 줄인 결과입니다. top_k를 적지 않으면 transformers가 50을 씁니다. top_k=0을 그대로 두세요.":
        {**TOP_K, **TOP_P},
    "top-k로 50개를 남긴 결과입니다. 개수가 아니라 확률의 합(top_p)으로 줄이세요.": TOP_K,
    "후보가 너무 적게 남았습니다. top_p가 0.92보다 훨씬 작지 않나요?": {**TOP_P, "top_p": 0.5},
    "후보가 적게 남았습니다. top_p가 0.92보다 작지 않나요?": {**TOP_P, "top_p": 0.75},
    "1 - 0.92 = 0.08을 넣은 결과로 보입니다. top_p는 잘라 낼 확률이 아니라 남길 확률입니다.": {**TOP_P, "top_p": 0.08},
    "후보를 줄이지 않고 전체에서 뽑은 결과입니다. top_p를 비율로 정하세요. 퍼센트(92)처럼 1 이상이면 조용히 "
    "무시됩니다.": {"min_length": LENGTH},
    **temperatures(TOP_P),
}


def check_top_p(run: Run) -> None:
    check_drawn(run, check_one(run, run["top_p_ids"], "top_p_ids"), "top_p_ids", TOP_P, WRONG_TOP_P)


def check_three(run: Run) -> None:
    given = run["drawn"]
    if run.stopped_in(4):
        raise Missing("drawn")
    if isinstance(given, str) or not hasattr(given, "__len__"):
        raise Wrong(f"drawn: 토큰 번호 세 개를 담은 리스트여야 하는데 {type(given).__name__}입니다.")
    if len(given) != 3:
        raise Wrong(f"drawn: 시드 {run.flag('seed')}에서 시작해 세 번 뽑아 모아야 하는데 {len(given)}개입니다. "
                    "시드가 세 개인지, append가 반복문 안에 있는지 보세요.")
    texts = [check_one(run, ids, f"drawn의 {number}번째") for number, ids in enumerate(given, start=1)]
    different = len(set(map(tuple, texts)))
    if different < 3:
        calls = sum(texts[0] in call.ids for call in run.calls)
        if all(not run.call_of(ids).get("do_sample", True) for ids in texts):
            raise Wrong(f"drawn: {NOT_DRAWN} 그래서 몇 번을 해도 같습니다.")
        if different == 1 and calls < 3:
            raise Wrong("drawn: 한 번 뽑은 텍스트를 세 번 담았습니다. generate를 시드마다 다시 부르세요.")
        raise Wrong(f"drawn: 서로 다른 텍스트가 {different}개뿐입니다. 같은 시드에서 다시 시작하면 같은 난수가 나와 "
                    "같은 텍스트가 됩니다. 뽑기 직전에 정한 시드가 매번 다른가요?")
    for number, ids in enumerate(texts, start=1):
        check_drawn(run, ids, f"drawn의 {number}번째", TOP_P, WRONG_TOP_P, margin=9.0)


TODOS = [
    Todo("빔 서치", check_beams, (
        "빔의 개수는 num_beams로 정합니다. 빔 서치는 뽑는 방법일까요, 찾는 방법일까요?",
        "그리디 서치에 쓴 do_sample=False는 그대로 두고, 빔의 개수를 더하세요.",
        "do_sample=False, num_beams=…에서 수만 채우면 됩니다.",
    )),
    Todo("top-k 샘플링", check_top_k, (
        "옵션 두 개가 필요합니다. 뽑겠다는 것 하나, 후보의 개수 하나.",
        "뽑겠다는 옵션은 do_sample입니다. 빠뜨리면 후보의 개수는 무시되고 그리디 서치가 됩니다.",
        "do_sample=True, top_k=…에서 수만 채우면 됩니다.",
    )),
    Todo("top-p 샘플링", check_top_p, (
        "이번에도 뽑겠다는 옵션이 필요합니다. 후보는 개수가 아니라 확률의 합으로 정합니다.",
        "top_p는 퍼센트가 아니라 0과 1 사이의 비율입니다.",
        "do_sample=True, top_p=0.…에서 수만 채우면 됩니다.",
    )),
    Todo("같은 설정으로 세 번", check_three, (
        "for로 시드 세 개를 돌며, 그 시드를 정하고, TODO 3처럼 뽑아 drawn에 더하세요.",
        "시드는 args.seed, args.seed + 1, …처럼 서로 다르면 됩니다. drawn에는 텍스트가 아니라 토큰 번호를 담습니다.",
        "for seed in (시드 셋): 아래에서 torch.manual_seed(seed), 그다음 drawn.append(model.generate(TODO 3과 같은 "
        "것)).",
    )),
]
