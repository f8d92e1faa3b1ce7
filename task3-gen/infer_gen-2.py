r"""Ko-GPT-Trinity 1.2B가 같은 글을 열여섯 가지 설정으로 이어 쓰게 해서 견줍니다.

배우는 것: 모델이 내놓는 것은 다음 토큰의 확률뿐이고, 글은 그 확률에서 토큰을 고르는 방법(디코딩)이
만듭니다.

    python task3-gen/infer_gen-2.py                       # 사전 학습 모델
    python task3-gen/infer_gen-2.py --input_sentence "긍정" \
        --downstream_model_dir output/nsmc-gen/train_gen-by-kogpt-trinity
"""

from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import (
    SETTINGS,
    GenerationInferArguments,
    encode_prompt,
    load_for_inference,
    readable,
)

import torch

if __name__ == "__main__":
    args = nlpbook.load_arguments(
        GenerationInferArguments,
        pretrained_model_name="skt/ko-gpt-trinity-1.2B-v0.5",
    )

    # 1. 모델과 토크나이저: --downstream_model_dir가 있으면 그 폴더의 미세조정한 모델
    model, tokenizer = load_for_inference(args, eos_token="</s>")

    # 2. 글을 토큰 번호로
    input_ids = encode_prompt(model, tokenizer, args.input_sentence)

    # 3. 설정마다 이어 쓰기: 같은 시드에서 시작해야 설정끼리 견줄 수 있습니다.
    for number, setting in enumerate(SETTINGS, start=1):
        nlpbook.set_seed(args, quiet=True)
        with torch.inference_mode():
            generated_ids = model.generate(input_ids, **setting.fit(model))
        print(f"\n[{number}] {setting}\n    {setting.look_for}\n"
              f"{readable(tokenizer, generated_ids[0])}", flush=True)
