"""1단계: 언어 모델로 문장을 이어 씁니다. (30분)

배우는 것: 언어 모델은 앞의 토큰들을 보고 다음 토큰의 확률을 계산합니다. 하나를 골라 붙이고 다시
계산하기를 반복하면 문장이 됩니다(자기회귀 생성). 매번 확률이 가장 높은 토큰만 고르는 방법이
그리디 서치입니다. 왜 GPT-2(디코더)는 이어 쓸 수 있고 BERT(인코더)는 그러지 못하는지도 봅니다.

TODO는 네 개입니다. 빈칸(____)을 위에서부터 하나씩 채우고, 채울 때마다 실행해 보세요.

    python task3-gen/step1_basic_generation.py
    python task3-gen/step1_basic_generation.py --prompt "이 영화는"
    python task3-gen/check.py 1           # 맞았는지 확인합니다
    python task3-gen/check.py 1 --hint    # 막히면 힌트를 하나씩
    python task3-gen/step1_basic_generation.py --model skt/kogpt2-base-v2   # 다른 모델로
"""

from course import StepArguments, load_arguments
from ratsnlp.nlpbook.generation import (
    draw_next_token,
    encode_prompt,
    load_model,
    load_tokenizer,
    next_token_bars,
    readable,
)

import torch

if __name__ == "__main__":
    args = load_arguments(StepArguments)

    # 1. 모델의 이름
    # TODO 1: 저장소에 든 작은 모델의 이름을 적으세요.
    #> model_name = args.model or ____
    model_name = args.model or "kogpt-mini"
    #.

    # 2. 토크나이저와 모델
    # TODO 2: 텍스트가 끝났다는 표시(eos)로 쓰는 토큰을 적으세요. 모델마다 다릅니다.
    #> eos_token = "<|endoftext|>" if "polyglot" in model_name else ____
    eos_token = "<|endoftext|>" if "polyglot" in model_name else "</s>"
    #.
    tokenizer = load_tokenizer(model_name, eos_token=eos_token)
    # TODO 3: 사전 학습한 모델을 가중치까지 불러오세요.
    #> model = ____
    model = load_model(model_name, tokenizer).eval()
    #.
    print(f"{model_name}: 토큰 {len(tokenizer):,}종류, 매개변수 {model.num_parameters():,}개")

    # 3. GPT-2와 BERT: 마지막 단어만 바꾸면 첫 토큰의 벡터도 달라질까요? GPT-2는 왼쪽만 보므로
    # 그대로이고, 그래서 오른쪽이 아직 없어도 이어 쓸 수 있습니다. BERT는 양쪽을 다 봅니다.
    from transformers import BertConfig, BertModel
    bert = BertModel(BertConfig(vocab_size=len(tokenizer), hidden_size=64, num_attention_heads=2,
                                num_hidden_layers=2, intermediate_size=128)).eval()  # 무작위 가중치
    sentences = [encode_prompt(model, tokenizer, f"이 영화는 {word}") for word in ("좋다", "싫다")]
    for name, network in {"GPT-2(디코더)": model.base_model, "BERT(인코더)": bert}.items():
        with torch.inference_mode():
            before, after = (network(ids).last_hidden_state[0, 0] for ids in sentences)
        same = torch.allclose(before, after, atol=1e-4)
        print(f"  {name}: 첫 토큰의 벡터가 {'그대로입니다' if same else '달라집니다'}.")

    # 4. 다음 토큰의 확률: 점수(로짓)를 소프트맥스에 넣으면 모두 더해 1인 확률이 됩니다.
    input_ids = encode_prompt(model, tokenizer, args.prompt)  # (1, 프롬프트의 토큰 수)
    with torch.inference_mode():
        logits = model(input_ids).logits[0, -1]  # (어휘의 크기,): 마지막 토큰 다음에 올 토큰의 점수
    probabilities = logits.softmax(dim=-1)
    print(f"\n{args.prompt!r} 다음에 올 토큰")
    print(next_token_bars(tokenizer, probabilities))
    print("그림:", draw_next_token(model, tokenizer, input_ids, args.output_dir))

    # 5. 자기회귀 생성: 확률이 가장 높은 토큰을 붙이고, 길어진 문장으로 다시 계산합니다.
    print("\n한 토큰씩")
    taken = input_ids
    for _ in range(5):
        with torch.inference_mode():
            best = model(taken).logits[0, -1].argmax()
        taken = torch.cat([taken, best.view(1, 1)], dim=1)
        print(f"   {readable(tokenizer, taken[0])}   (붙인 토큰: {tokenizer.decode(best)!r})")

    # 6. generate가 이 반복을 대신합니다. 그리디 서치의 한계도 보세요: '점심'처럼 같은 말을 반복하기
    # 시작하면 빠져나오지 못하고, 몇 번을 실행해도 같은 텍스트입니다. '안녕하세요'는 곧 끝내려고
    # 하는데 min_length가 끝 토큰을 막는 동안 마침표를 찍다가 반복에 빠집니다.
    print("\n그리디 서치")
    greedy_ids = {}
    for prompt in (args.prompt, "점심", "안녕하세요"):
        input_ids = encode_prompt(model, tokenizer, prompt)
        with torch.inference_mode():
            # TODO 4: 그리디 서치로 이어 쓰세요. 길이는 프롬프트를 포함해 10토큰에서 50토큰까지.
            #> greedy_ids[prompt] = ____
            greedy_ids[prompt] = model.generate(
                input_ids, do_sample=False, min_length=10, max_length=50)
            #.
        print("  ", readable(tokenizer, greedy_ids[prompt][0]))
