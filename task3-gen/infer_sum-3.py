r"""Qwen3 4B에게 지시해 대화를 요약합니다: 대화 하나도, 파일에 든 수천 개도 됩니다.

배우는 것: 지시를 따르는 모델은 파인튜닝하지 않아도 요약합니다(제로샷). 사람의 요약이 있는 파일로
파인튜닝하기 전과 후의 ROUGE를 비교해 보세요. 첫 발화나 가장 긴 발화를 그대로 쓴 것과도요.

    python task3-gen/infer_sum-3.py --input task3-gen/data/dialogues/dev.csv         # 제로샷
    python task3-gen/infer_sum-3.py --input task3-gen/data/dialogues/dev.csv \
        --downstream_model_dir output/dialogue-sum/train_sum-by-qwen3
    python task3-gen/infer_sum-3.py --input test.csv --output submission.csv
    python task3-gen/infer_sum-3.py --input test.csv --output submission.csv --resume   # 이어서
"""

import sys

from ratsnlp import nlpbook
from ratsnlp.nlpbook.instruction import (
    InstructionInferArguments,
    Predictor,
    SummaryOutput,
    read_input,
)

if __name__ == "__main__":
    args = nlpbook.load_arguments(
        InstructionInferArguments,
        pretrained_model_name="Qwen/Qwen3-4B",
        max_new_tokens=200,
        do_sample=False,  # 그리디 서치. 같은 대화에는 언제나 같은 요약을 씁니다.
        batch_size=8,
    )
    if args.is_finished:
        print(f"이미 끝났습니다: {args.output}", file=sys.stderr)
        sys.exit()

    # 1. 대화
    dialogues = read_input(args)

    # 2. 모델과 토크나이저: --downstream_model_dir가 있으면 그 폴더의 파인튜닝한 모델을 씁니다.
    predictor = Predictor.from_arguments(args, dialogues)

    # 3. 길이가 비슷한 것끼리 한 배치로. 끝난 배치는 .part 파일에 남아 --resume으로 이어집니다.
    with SummaryOutput(args, dialogues, predictor) as output:
        for batch in predictor.batches([example.dialogue for example in dialogues], args.batch_size,
                                       seed=args.seed, start=output.batches, **args.generation):
            output.add(batch)

        # 4. 저장하거나 보여 줍니다.
        output.finish()

    # 5. 사람의 요약이 있으면 비교합니다.
    if output.has_references:
        print(output.report())
