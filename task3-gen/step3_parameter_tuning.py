"""3단계: 온도, top-k, top-p를 직접 계산하고, 좋은 조합을 찾습니다. (50분)

배우는 것: 디코딩 옵션은 모델을 바꾸지 않습니다. 모델이 준 점수(로짓)에서 다음 토큰의 확률을 얻는
방법을 바꿀 뿐입니다. 몇 줄로 직접 계산해 보고, 반복을 막는 옵션을 비교한 다음, 내 조합으로 쓴
텍스트가 사람의 리뷰와 얼마나 비슷한지 숫자로 확인합니다.

TODO는 다섯 개입니다. 빈칸(____)을 위에서부터 하나씩 채우고, 채울 때마다 실행해 보세요.

    python task3-gen/step3_parameter_tuning.py
    python task3-gen/step3_parameter_tuning.py --prompt "학교에서"
    python task3-gen/check.py 3           # 맞았는지 확인합니다
    python task3-gen/check.py 3 --hint    # 막히면 힌트를 하나씩
    python task3-gen/step3_parameter_tuning.py --model skt/kogpt2-base-v2   # 다른 모델로
"""

from course import load_arguments
from course.sampling import SamplingArguments, figures, figures_table
from ratsnlp.nlpbook import BUNDLED_DATA
from ratsnlp.nlpbook.generation import (
    NsmcCorpus,
    draw_next_token,
    encode_prompt,
    load_pretrained,
    next_token_bars,
    readable,
)

import torch


def apply_temperature(logits, temperature):
    """로짓 (어휘의 크기,)에 온도를 적용한 확률 (어휘의 크기,). 더하면 1입니다."""
    # TODO 1: 온도를 적용한 확률. 온도가 1보다 낮으면 뾰족해지고 높으면 평평해집니다.
    return ____


def keep_top_k(logits, k):
    """확률이 가장 높은 k개만 남긴 확률. 나머지는 0이고, 남은 확률은 더하면 다시 1입니다."""
    # TODO 2: 남길 토큰의 번호 k개와, 나머지 토큰의 로짓으로 쓸 값.
    kept = ____
    cut = torch.full_like(logits, ____)  # 모두 이 값으로 채운 다음
    cut[kept] = logits[kept]  # 남길 토큰만 로짓을 되돌립니다.
    return cut.softmax(dim=-1)


def keep_top_p(logits, p):
    """확률이 높은 것부터 더해 합이 p 이상이 되는, 가장 적은 수의 토큰만 남긴 확률."""
    # TODO 3: 그런 토큰은 몇 개일까요? 개수를 알면 나머지는 top-k와 같습니다.
    sums = ____  # 확률이 높은 것부터 차례로 더해 간 합 (어휘의 크기,)
    k = ____
    return keep_top_k(logits, k)


if __name__ == "__main__":
    args = load_arguments(SamplingArguments, prompt="이 감독의")

    # 1. 다음 토큰의 로짓
    model, tokenizer = load_pretrained(args.model or "kogpt-mini")
    input_ids = encode_prompt(model, tokenizer, args.prompt, args.max_length)
    with torch.inference_mode():
        logits = model(input_ids).logits[0, -1]  # (어휘의 크기,)
    print(f"{args.prompt!r} 다음에 올 토큰")
    print(next_token_bars(tokenizer, logits.softmax(dim=-1), top=5))

    # 2. 온도: 0에 가까우면 그리디 서치가 되고, 아주 높으면 모든 토큰의 확률이 같아집니다.
    for temperature in (0.5, 1.5):
        print(f"온도 {temperature}")
        print(next_token_bars(tokenizer, apply_temperature(logits, temperature), top=5))
    for temperature in (0.01, 1e6):
        highest = apply_temperature(logits, temperature).max()
        print(f"온도 {temperature:g}: 가장 높은 확률 {highest:.4%}")

    # 3. top-k는 개수를, top-p는 확률의 합을 정합니다. 확률이 퍼져 있으면 top-p의 후보가 늘어납니다.
    print("top-k 3\n" + next_token_bars(tokenizer, keep_top_k(logits, 3)))
    print("top-p 0.2\n" + next_token_bars(tokenizer, keep_top_p(logits, 0.2)))
    print("그림:", draw_next_token(model, tokenizer, input_ids, args.output_dir))

    # 4. 순서: transformers는 온도를 먼저, 그다음 top-k, top-p를 적용합니다. 그래서 온도를 높이면
    # 같은 top-p에도 후보가 늘어납니다. 온도를 마지막에 적용하는 도구(llama.cpp)에서는 그대로입니다.
    for temperature in (0.7, 1.0, 1.5):
        left = (keep_top_p(logits / temperature, 0.92) > 0).sum()
        print(f"온도 {temperature}, 그다음 top-p 0.92: 후보 {left:,}개")

    # 5. 그리디 서치의 반복을 막는 두 가지 방법
    lengths = {"min_length": args.min_length, "max_length": args.max_length}
    greedy_ids = model.generate(input_ids, do_sample=False, **lengths)
    # TODO 4: 첫째 빈칸은 한 번 나온 연속한 세 토큰이 다시 나오지 못하게, 둘째 빈칸은 반복 페널티만
    # 1.2로 주세요.
    no_repeat_ids = model.generate(input_ids, ____, do_sample=False, **lengths)
    penalty_ids = model.generate(input_ids, ____, do_sample=False, **lengths)
    print("\n그리디 서치:", readable(tokenizer, greedy_ids[0]))
    print("세 토큰의 반복 금지:", readable(tokenizer, no_repeat_ids[0]))
    print("반복 페널티 1.2:", readable(tokenizer, penalty_ids[0]))

    # 6. 내 조합: 시드를 바꾸어 여러 번 뽑고 사람의 리뷰와 비교합니다. distinct-2는 이어진 두 글자
    # 가운데 서로 다른 것의 비율(다양성), 반복률은 한 텍스트에서 같은 네 글자가 다시 나온 비율,
    # 퍼플렉서티는 모델에게 얼마나 의외인지입니다. 높을수록, 또는 낮을수록 좋은 숫자가 아닙니다.
    # TODO 5: 샘플링으로, 네 숫자가 모두 사람의 리뷰에 가까운 내 조합을 만드세요. 적지 않은 옵션에도
    # 값이 있습니다: top_k를 적지 않으면 50입니다.
    my_setting = dict(____)
    texts = []
    for seed in range(args.seed, args.seed + args.samples):
        torch.manual_seed(seed)
        ids = model.generate(input_ids, **{"max_length": args.max_length, **my_setting})
        texts.append(readable(tokenizer, ids[0]))
    print("\n내 조합", *texts[:3], sep="\n  ")
    reviews = NsmcCorpus().get_examples(BUNDLED_DATA / "mini", "test")[: args.samples]
    greedy = [readable(tokenizer, greedy_ids[0])] * args.samples
    print(figures_table({
        "사람의 리뷰": figures(model, tokenizer, [review.own_text for review in reviews]),
        "그리디 서치": figures(model, tokenizer, greedy, args.prompt),
        "내 조합": figures(model, tokenizer, texts, args.prompt)}))
