"""2단계: 토큰을 고르는 방법을 비교합니다. (35분)

배우는 것: 같은 모델, 같은 확률이라도 토큰을 고르는 방법(디코딩 전략)에 따라 텍스트가 달라집니다.
그리디 서치와 빔 서치는 확률이 높은 텍스트를 찾아내고, 샘플링은 확률에 따라 뽑습니다.
top-k와 top-p는 뽑을 후보를 줄입니다. 찾으면 늘 같은 텍스트, 뽑으면 매번 다른 텍스트입니다.

TODO는 네 개입니다. 빈칸(____)을 위에서부터 하나씩 채우고, 채울 때마다 실행해 보세요.

    python task3-gen/solutions/step2_solution.py
    python task3-gen/solutions/step2_solution.py --prompt "오늘 점심 먹으면서" --seed 1
    python task3-gen/check.py 2           # 맞았는지 확인합니다
    python task3-gen/check.py 2 --hint    # 막히면 힌트를 하나씩
    python task3-gen/solutions/step2_solution.py --model skt/kogpt2-base-v2   # 다른 모델로
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from course import load_arguments
from course.sampling import SamplingArguments
from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import encode_prompt, load_pretrained, readable

import torch

if __name__ == "__main__":
    args = load_arguments(SamplingArguments, prompt="주말에 친구와")

    # 1. 모델과 프롬프트. 텍스트의 길이는 프롬프트를 포함해 10토큰에서 50토큰까지입니다.
    model, tokenizer = load_pretrained(args.model or "kogpt-mini")
    input_ids = encode_prompt(model, tokenizer, args.prompt, args.max_length)
    lengths = {"min_length": args.min_length, "max_length": args.max_length}

    # 2. 그리디 서치(1단계 복습): 매번 확률이 가장 높은 토큰 하나를 고릅니다.
    greedy_ids = model.generate(input_ids, do_sample=False, **lengths)

    # 3. 빔 서치: 후보(빔) 몇 개를 나란히 이어 가며, 토큰당 로그확률의 평균이 높은 것을 찾습니다.
    # 풀이 1: 빔 세 개로 이어 쓰세요. 뽑지는 않습니다.
    beam_ids = model.generate(input_ids, do_sample=False, num_beams=3, **lengths)
    start = input_ids.shape[1]
    for name, ids in {"그리디 서치": greedy_ids, "빔 서치": beam_ids}.items():
        with torch.inference_mode():
            log_probabilities = model(ids[:, :-1]).logits[0, start - 1 :].log_softmax(dim=-1)
        chosen = log_probabilities.gather(1, ids[0, start:, None])  # 고른 토큰의 로그확률
        print(f"{name}: {readable(tokenizer, ids[0])}\n"
              f"    로그확률: 합 {chosen.sum():.2f}, 토큰당 평균 {chosen.mean():.2f}, "
              f"첫 세 토큰은 {', '.join(f'{value:.2f}' for value in chosen[:3, 0])}")
    # 두 텍스트는 어디서 갈라지나요? 그때 확률이 더 높은 토큰을 고른 쪽은? 끝까지 더하면?

    # 4. top-k 샘플링: 확률이 높은 k개 가운데에서 확률에 따라 뽑습니다.
    nlpbook.set_seed(args)
    # 풀이 2: 확률이 높은 50개 가운데에서 뽑으세요.
    top_k_ids = model.generate(input_ids, do_sample=True, top_k=50, **lengths)
    print("top-k 샘플링:", readable(tokenizer, top_k_ids[0]))

    # 5. top-p(nucleus) 샘플링: 확률을 높은 것부터 더해 p에 이르는 데까지만 후보로 남기고 뽑습니다.
    # transformers는 top_k를 적지 않으면 50을 씁니다. top-p만 보려고 top_k=0으로 끕니다.
    # 풀이 3: 확률의 합이 92%에 이르는 후보들 가운데에서 뽑으세요.
    top_p_ids = model.generate(input_ids, do_sample=True, top_p=0.92, top_k=0, **lengths)
    print("top-p 샘플링:", readable(tokenizer, top_p_ids[0]))

    # 6. 같은 설정으로 세 번: 난수 시드가 다르면 다른 텍스트, 같으면 같은 텍스트가 나옵니다.
    drawn = []  # generate가 반환한 토큰 번호 세 개
    # 풀이 4: TODO 3의 설정으로 세 번 뽑아 drawn에 모으세요. 세 텍스트가 서로 달라야 합니다.
    for seed in (args.seed, args.seed + 1, args.seed + 2):
        torch.manual_seed(seed)
        drawn.append(model.generate(input_ids, do_sample=True, top_p=0.92, top_k=0, **lengths))
    texts = [readable(tokenizer, ids.flatten()) for ids in drawn]
    print("\n같은 설정으로 세 번\n  top-p:", "\n  top-p: ".join(texts))
    again = readable(tokenizer, model.generate(input_ids, do_sample=False, **lengths)[0])
    print(f"  서로 다른 텍스트: {len(set(texts))}개\n그리디 서치를 다시: {again}")

    # 7. 후보를 줄일수록 짧아집니다. 짧은 리뷰를 배운 모델은 끝 토큰의 확률이 대체로 높습니다.
    # 그래서 끝 토큰은 후보에 남고, 다른 토큰이 빠진 만큼 더 자주 뽑힙니다. (최소 길이는 껐습니다.)
    print(f"\n{args.samples}개씩 뽑아 본 길이")
    for name, setting in {"전체에서": {"top_k": 0}, "top-p 0.7": {"top_k": 0, "top_p": 0.7},
                          "top-k 50": {"top_k": 50}, "top-k 5": {"top_k": 5}}.items():
        nlpbook.set_seed(args, quiet=True)
        ids = model.generate(input_ids, do_sample=True, num_return_sequences=args.samples,
                             max_length=args.max_length, **setting)
        written = sum(len(readable(tokenizer, row)) for row in ids) / len(ids)
        print(f"  {name}: 평균 {written:.0f}글자")
