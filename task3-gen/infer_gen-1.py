r"""KoGPT2로 같은 문장을 열여섯 가지 설정으로 이어 쓰고 비교합니다.

배우는 것: 모델은 다음 토큰의 확률만 계산합니다. 텍스트는 그 확률로 토큰을 고르는 방법(디코딩)에
따라 달라집니다. 설정마다 후보가 무엇 때문에 몇 개로 줄었는지 함께 봅니다.

    python task3-gen/infer_gen-1.py                       # 사전 학습 모델
    python task3-gen/infer_gen-1.py --input_sentence "긍정" \
        --downstream_model_dir output/nsmc-gen/train_gen-by-kogpt2
    python task3-gen/infer_gen-1.py --only 9 --top_k 5    # [9]를 내 설정과 비교
    python task3-gen/infer_gen-1.py --beyond              # 책에 없는 설정들
    python task3-gen/infer_gen-1.py --samples 20 --report output/비교   # 통계와 그림까지
"""

from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import (
    GenerationInferArguments,
    Tour,
    encode_prompt,
    load_for_inference,
    traced,
)

import torch

if __name__ == "__main__":
    args = nlpbook.load_arguments(
        GenerationInferArguments,
        pretrained_model_name="skt/kogpt2-base-v2",
    )

    # 1. 모델과 토크나이저: --downstream_model_dir가 있으면 그 폴더의 파인튜닝한 모델을 씁니다.
    model, tokenizer = load_for_inference(args)

    # 2. 문장을 토큰 번호로
    input_ids = encode_prompt(model, tokenizer, args.input_sentence)

    # 3. 설정마다 이어 쓰기: 같은 시드에서 시작해야 설정끼리 비교할 수 있습니다.
    tour = Tour(args, model, tokenizer, input_ids)
    print(tour.heading())
    for label, setting in tour.settings.items():
        nlpbook.set_seed(args, quiet=True)
        with torch.inference_mode(), traced(model) as trace:  # 스텝마다 남은 후보를 셉니다.
            generated_ids = model.generate(input_ids, **setting.fit(model, tokenizer))
        print(tour.show(label, generated_ids[0], trace), flush=True)

    # 4. 토큰을 고르는 순서, 여러 시드로 쓴 텍스트의 다양성과 길이(--samples), 보고서(--report)
    print(tour.finish())
