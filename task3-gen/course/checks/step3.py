"""Step 3: temperature, top-k and top-p by hand, the two ways against repetition, and a setting of one's own."""

from collections.abc import Callable
from pathlib import Path

from ..checking import Missing, Run, Todo, Wrong
from ..judging import check_search, prompt_ids, reference

LENGTH = 40  # tokens of each text: long enough for repetition, and for penalties to differ
LENGTHS = {"min_length": LENGTH, "max_length": LENGTH}
TEXTS = 20  # that a setting is judged by, as many as the file writes itself

Formula = Callable  # (logits (V,), value) -> probabilities (V,)


def flags(folder: Path) -> list[str]:
    return ["--prompt", "학교에서", "--seed", "11", "--min_length", str(LENGTH), "--max_length", str(LENGTH),
            "--samples", "1", "--output_dir", str(folder)]


def scores() -> list:
    """Logits (V,) to try a function with: few of them, one of them far above the others, and the model's."""
    import torch

    model, _ = reference()
    with torch.inference_mode():
        models = model(torch.tensor([prompt_ids("날씨가 좋아서")])).logits[0, -1].float().clone()
    return [torch.tensor([0.5, 3.0, -1.0, 2.0, 1.0, -2.0, 2.5, 0.0]), torch.tensor([0.2, 0.1, 4.0, 0.3, -0.5, -1.0]),
            models]


def first(logits, count: int):
    """The probabilities where ``count`` of the likeliest tokens are kept."""
    import torch

    cut = torch.full_like(logits, -torch.inf)
    kept = logits.argsort(descending=True)[: max(0, count)]
    cut[kept] = logits[kept]
    return cut.softmax(-1)


def lowest(logits, count: int):
    """The probabilities where the least likely tokens are kept."""
    import torch

    cut = torch.full_like(logits, -torch.inf)
    kept = logits.topk(count, largest=False).indices
    cut[kept] = logits[kept]
    return cut.softmax(-1)


def numbered(logits, count: int):
    """The probabilities where the tokens with the lowest numbers are kept."""
    import torch

    return torch.where(torch.arange(len(logits)) < count, logits, -torch.inf).softmax(-1)


def close(given, expected) -> bool:
    import torch

    return torch.allclose(given, expected, atol=1e-5, rtol=1e-4, equal_nan=True)


def check_function(run: Run, name: str, knob: str, cases: list[tuple], right: Formula,
                   wrong: dict[str, Formula]) -> None:
    """Raises Wrong unless the function ``name`` of the file gives what ``right`` gives for each of the ``cases``
    (logits, value of ``knob``), with the sentence of the formula in ``wrong`` that gives the same for all of them."""
    function = run[name]
    if not callable(function):
        raise Wrong(f"{name}: 함수여야 하는데 {type(function).__name__}입니다. def로 시작하는 줄을 그대로 두세요.")
    given = [called(run, name, function, knob, *case) for case in cases]
    expected = [right(*case) for case in cases]
    if all(map(close, given, expected)):
        return
    for sentence, formula in wrong.items():
        if all(close(each, formula(*case)) for each, case in zip(given, cases, strict=True)):
            raise Wrong(f"{name}: {sentence}")
    each, best, (_, value) = next(
        (each, best, case) for each, best, case in zip(given, expected, cases, strict=True) if not close(each, best))
    if not bool(each.isfinite().all()):
        raise Wrong(f"{name}: 확률이 아닌 값(inf나 nan)이 들어 있습니다. 마지막에 소프트맥스를 적용했나요? 모두 잘라 "
                    "내지는 않았나요?")
    if abs(float(each.sum()) - 1) > 1e-3:
        raise Wrong(f"{name}: 확률은 더하면 1이어야 하는데 {float(each.sum()):.3f}입니다.")
    kept, wanted = (int((row > 1e-9).sum()) for row in (each, best))
    if kept != wanted:
        raise Wrong(f"{name}: {knob} {value}에서 토큰 {wanted}개가 남아야 하는데 {kept}개의 확률이 0보다 큽니다.")
    raise Wrong(f"{name}: {knob} {value}에서 가장 높은 확률이 {float(best.max()):.1%}여야 하는데 "
                f"{float(each.max()):.1%}입니다.")


def called(run: Run, name: str, function, knob: str, logits, value):
    """What the learner's function gives, a tensor of probabilities."""
    import torch

    try:
        given = function(logits.clone(), value)
    except Exception as error:  # a learner's function may raise anything
        if type(error) is type(run.error):
            raise Missing(name) from None  # told with its line
        raise Wrong(f"{name}: {knob} {value}에서 {type(error).__name__}: {error}") from None
    if given is None:
        raise Wrong(f"{name}: 반환하는 것이 없습니다. 계산한 확률을 return으로 돌려주세요.")
    if not torch.is_tensor(given) or given.shape != logits.shape:
        shape = tuple(given.shape) if torch.is_tensor(given) else type(given).__name__
        raise Wrong(f"{name}: 어휘의 모든 토큰에 확률이 하나씩 있어야 합니다. {tuple(logits.shape)} 텐서여야 하는데 "
                    f"{shape}입니다.")
    return given.detach().float()


def check_temperature(run: Run) -> None:
    cases = [(logits, temperature) for logits in scores() for temperature in (0.5, 2.0)]
    check_function(run, "apply_temperature", "온도", cases, lambda z, t: (z / t).softmax(-1), {
        "온도를 곱했습니다. 그러면 온도가 낮을수록 평평해집니다.": lambda z, t: (z * t).softmax(-1),
        "소프트맥스를 먼저 하고 확률을 온도로 나누었습니다. 더해서 1이 되지 않습니다. 온도는 로짓에 적용합니다.":
            lambda z, t: z.softmax(-1) / t,
        "온도를 확률에 곱했습니다. 더해서 1이 되지 않습니다. 온도는 로짓에 적용합니다.": lambda z, t: z.softmax(-1) * t,
        "온도를 확률에 더했습니다. 더해서 1이 되지 않습니다. 온도는 로짓에 적용합니다.": lambda z, t: z.softmax(-1) + t,
        "온도를 바꾸어도 확률이 그대로입니다. 로짓에 같은 수를 더하거나 빼면, 또는 나눈 확률을 다시 합으로 나누면 "
        "온도가 사라집니다.":
            lambda z, t: z.softmax(-1),
        "확률에 소프트맥스를 한 번 더 했습니다. 소프트맥스는 로짓에 한 번만 합니다.":
            lambda z, t: (z.softmax(-1) / t).softmax(-1),
        "나눈 로짓 그대로입니다. 소프트맥스로 확률을 만드세요.": lambda z, t: z / t,
        "로그확률입니다. log_softmax가 아니라 softmax입니다.": lambda z, t: (z / t).log_softmax(-1),
    })


def check_top_k(run: Run) -> None:
    import torch

    def mask(z, k):
        return torch.zeros_like(z, dtype=torch.bool).scatter(0, z.topk(k).indices, True)

    cases = [(logits, k) for logits in scores() for k in (2, 4)]
    check_function(run, "keep_top_k", "k =", cases, first, {
        "자른 토큰의 로짓을 0으로 했습니다. 로짓 0은 확률 0이 아닙니다(e^0 = 1). 소프트맥스를 지나 0이 되는 로짓은 "
        "무엇인가요?":
            lambda z, k: torch.where(mask(z, k), z, 0.0).softmax(-1),
        "남은 확률을 더해도 1이 되지 않습니다. 자른 만큼 남은 것끼리 다시 나누어야 합니다.":
            lambda z, k: torch.where(mask(z, k), z.softmax(-1), 0.0),
        "확률이 가장 낮은 k개를 남겼습니다.": lowest,
        "k개보다 하나 적게 남겼습니다. k번째 토큰도 남깁니다.": lambda z, k: first(z, k - 1),
        "k개보다 하나 많이 남겼습니다. 경계로 삼은 값이 몇 번째인지 보세요(번호는 0부터 셉니다).":
            lambda z, k: first(z, k + 1),
        "번호가 앞선 k개를 남겼습니다. 토큰의 번호는 확률의 순서가 아닙니다.": numbered,
        "자르지 않은 확률입니다.": lambda z, k: z.softmax(-1),
        "자른 로짓 그대로입니다. 소프트맥스로 확률을 만드세요.": lambda z, k: torch.where(mask(z, k), z, -torch.inf),
    })


def count(sums, p: float) -> int:
    """How many tokens until the running ``sums`` (V,) come to ``p``."""
    return int((sums < p).sum()) + 1


def check_top_p(run: Run) -> None:
    def sums(z):
        return z.softmax(-1).sort(descending=True).values.cumsum(-1)

    cases = [(logits, p) for logits in scores() for p in (0.35, 0.85)]
    check_function(run, "keep_top_p", "p =", cases, lambda z, p: first(z, count(sums(z), p)), {
        "합이 p를 넘게 만드는 토큰을 뺐습니다. 그 토큰까지 남겨야 합이 p 이상입니다. 확률이 가장 높은 토큰 하나가 "
        "p보다 크면 "
        "아무것도 남지 않습니다.": lambda z, p: first(z, count(sums(z), p) - 1),
        "필요한 것보다 하나 더 남겼습니다. 합이 처음 p 이상이 되는 토큰까지만 남깁니다.":
            lambda z, p: first(z, count(sums(z), p) + 1),
        "확률이 높은 순서로 정렬하지 않고 더했습니다. 그러면 토큰의 번호 순서로 더하게 됩니다.":
            lambda z, p: first(z, count(z.softmax(-1).cumsum(-1), p)),
        "확률이 높은 순서로 정렬하지 않고 더했습니다. 합이 처음 p 이상이 되는 토큰도 빠졌습니다.":
            lambda z, p: first(z, count(z.softmax(-1).cumsum(-1), p) - 1),
        "확률이 낮은 것부터 더했습니다. 정렬의 방향을 보세요(descending).":
            lambda z, p: first(z, count(z.softmax(-1).sort().values.cumsum(-1), p)),
        "합이 p를 넘은 뒤의 토큰을 세었습니다. 남길 것은 그 앞입니다.":
            lambda z, p: first(z, int((sums(z) > p).sum())),
        "잘라 낼 확률로 계산했습니다. p는 남길 확률입니다.": lambda z, p: first(z, count(sums(z), 1 - p)),
        "확률이 아니라 로짓을 더했습니다. 소프트맥스를 먼저 하세요.":
            lambda z, p: first(z, count(z.sort(descending=True).values.cumsum(-1), p)),
        "어휘의 개수에 p를 곱했습니다. p는 개수의 비율이 아니라 확률의 "
        "합입니다.": lambda z, p: first(z, int(p * len(z))),
        "확률이 p 이상인 토큰을 세었습니다. p는 토큰 하나의 확률이 아니라 더해 간 합에 적용합니다.":
            lambda z, p: first(z, int((z.softmax(-1) >= p).sum())),
    })


def check_repetition(run: Run) -> None:
    prompt, greedy = run.flag("prompt"), dict(do_sample=False, **LENGTHS)
    forgotten = {"그리디 서치와 같습니다. 반복을 막는 옵션을 넘겼나요?": greedy}
    check_search(run, run["no_repeat_ids"], prompt, "no_repeat_ids", {"no_repeat_ngram_size": 3, **greedy}, {
        **forgotten,
        "no_repeat_ngram_size가 1이면 한 번 나온 토큰이 조사든 마침표든 다시는 나오지 못합니다. 막을 것은 이어진 세 "
        "토큰입니다.":
            {"no_repeat_ngram_size": 1, **greedy},
        "이어진 두 토큰의 반복을 막았습니다. 세 토큰입니다.": {"no_repeat_ngram_size": 2, **greedy},
        "이어진 네 토큰의 반복을 막았습니다. 세 토큰입니다.": {"no_repeat_ngram_size": 4, **greedy},
        "반복 페널티를 준 결과입니다. 여기서는 이어진 세 토큰의 반복을 "
        "금지합니다.": {"repetition_penalty": 1.2, **greedy},
    })
    check_search(run, run["penalty_ids"], prompt, "penalty_ids", {"repetition_penalty": 1.2, **greedy}, {
        **{f"반복 페널티가 1보다 작은 결과입니다({penalty:.2g}). 1보다 작으면 이미 나온 토큰이 더 잘 나옵니다.":
           {"repetition_penalty": penalty, **greedy} for penalty in (0.8, 1 / 1.2, 0.2, 0.9)},
        **forgotten,
        "반복 페널티가 1.1인 결과입니다. 1.2로 하세요.": {"repetition_penalty": 1.1, **greedy},
        "반복 페널티가 1.2보다 큰 결과입니다(1.5쯤). 1.2로 하세요.": {"repetition_penalty": 1.5, **greedy},
        "반복 페널티가 1.2보다 훨씬 큰 결과입니다. 퍼센트(120%)로 적지 "
        "않았나요?": {"repetition_penalty": 12.0, **greedy},
        "no_repeat_ngram_size의 결과입니다. 여기서는 반복 페널티를 씁니다.": {"no_repeat_ngram_size": 3, **greedy},
        "두 옵션을 함께 쓴 결과입니다. 따로 써야 비교할 수 있습니다.":
            {"no_repeat_ngram_size": 3, "repetition_penalty": 1.2, **greedy},
    })


def check_setting(run: Run) -> None:
    from ratsnlp.nlpbook.generation import readable

    import torch

    from ..sampling import figures

    setting = run["my_setting"]
    if not isinstance(setting, dict):
        raise Wrong(f"my_setting: dict여야 하는데 {type(setting).__name__}입니다. dict(이름=값, …)으로 적으세요.")
    if not setting.get("do_sample"):
        raise Wrong("my_setting: 뽑지 않는 조합이라 시드를 바꾸어도 늘 같은 텍스트입니다. do_sample을 정하세요.")
    if setting.get("num_beams", 1) > 1:
        raise Wrong("my_setting: 빔 서치는 빼세요. 빔마다 뽑은 텍스트는 샘플링도 빔 서치도 아닙니다.")
    (model, tokenizer), prompt = reference(), run.flag("prompt")
    torch.manual_seed(0)
    try:
        with torch.inference_mode():
            ids = model.generate(torch.tensor([prompt_ids(prompt)]),
                                 **{"max_length": LENGTH, **setting, "num_return_sequences": TEXTS})
    except (TypeError, ValueError) as error:
        raise Wrong(f"my_setting: generate가 받지 않는 조합입니다. {str(error).splitlines()[0]}") from None
    of = figures(model, tokenizer, [readable(tokenizer, row) for row in ids], prompt)
    told = f"{prompt!r} 다음을 {TEXTS}번 써 보니"
    if of.syllables < 12:
        raise Wrong(f"my_setting: 사람의 리뷰보다 짧습니다. {told} 평균 {of.syllables:.1f}글자인데 12글자 이상이어야 "
                    "합니다. 길이를 묶었거나 후보를 너무 많이 줄였습니다.")
    if of.perplexity > 400:
        raise Wrong(f"my_setting: 횡설수설합니다. {told} 퍼플렉서티가 {of.perplexity:,.0f}인데 400 이하여야 합니다. "
                    "온도가 높거나 후보가 너무 많습니다.")
    if of.syllables > 60:
        raise Wrong(f"my_setting: 사람의 리뷰보다 깁니다. {told} 평균 {of.syllables:.1f}글자인데 60글자 이하여야 "
                    "합니다. min_length가 끝 토큰을 막고 있지 않나요?")
    if of.repeated > 0.1:
        raise Wrong(f"my_setting: 같은 말을 반복합니다. {told} 반복률이 {of.repeated:.0%}인데 10% 이하여야 합니다.")
    if of.distinct_2 < 0.5:
        raise Wrong(f"my_setting: 텍스트가 서로 비슷합니다. {told} distinct-2가 {of.distinct_2:.2f}인데 0.50 "
                    "이상이어야 합니다. 후보가 너무 적거나 온도가 너무 낮습니다.")
    if of.perplexity < 40:
        hidden = "" if "top_k" in setting else " 적지 않은 top_k는 50이라, 나머지 후보는 한 번도 뽑히지 않습니다."
        raise Wrong(f"my_setting: 사람의 리뷰보다 뻔합니다. {told} 퍼플렉서티가 {of.perplexity:.0f}인데 40 이상이어야 "
                    f"합니다(사람은 170쯤).{hidden}")


TODOS = [
    Todo("온도", check_temperature, (
        "온도는 확률이 아니라 로짓에 적용합니다. 그다음이 소프트맥스입니다.",
        "로짓의 차이가 커지면 확률이 뾰족해집니다. 온도 0.5로 차이를 두 배로 만들려면 어떤 계산을 해야 할까요?",
        "logits를 temperature로 나눈 것에 .softmax(dim=-1)을 적용해 반환하세요.",
    )),
    Todo("top-k", check_top_k, (
        "logits.topk(k)는 값이 큰 k개를 찾아 줍니다. 소프트맥스를 지나 0이 되려면 로짓이 얼마여야 할까요?",
        "topk의 결과에는 values(값)와 indices(번호)가 있습니다. 로짓 0은 확률 0이 아닙니다.",
        "번호는 logits.topk(k).indices, 나머지에 넣을 로짓은 음의 무한대(-torch.inf)입니다.",
    )),
    Todo("top-p", check_top_p, (
        "로짓이 아니라 확률을, 높은 것부터 차례로 더해 가세요. 합이 처음 p 이상이 되는 것은 몇 번째인가요?",
        "softmax, sort(descending=True).values, cumsum을 차례로 쓰면 더해 간 합이 됩니다.",
        "합이 아직 p보다 작은 토큰의 개수에, p에 이르게 하는 토큰 하나를 더하세요: int((sums < p).sum()) + …",
    )),
    Todo("반복 막기", check_repetition, (
        "이어진 n개의 토큰(n-gram)이 다시 나오지 못하게 하는 옵션과, 이미 나온 토큰의 점수를 깎는 옵션입니다.",
        "첫째는 no_repeat_ngram_size, 둘째는 repetition_penalty입니다. 페널티가 1이면 깎지 않습니다.",
        "no_repeat_ngram_size=…과 repetition_penalty=…에서 수만 채우면 됩니다. 하나씩 따로 쓰세요.",
    )),
    Todo("내 조합", check_setting, (
        "먼저 do_sample=True 하나로 실행해 네 숫자를 보고, 옵션을 하나씩 더하며 사람의 리뷰와 비교하세요.",
        "퍼플렉서티와 길이가 사람보다 훨씬 작으면 후보가 너무 적은 것입니다. 적지 않은 top_k는 50이고, 0이면 끕니다.",
        "do_sample=True, top_k=0에서 시작해, 온도는 0.9에서 1.1 사이, top_p는 0.92에서 1 사이로 바꾸어 보세요.",
    )),
]
