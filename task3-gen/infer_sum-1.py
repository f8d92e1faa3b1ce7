r"""KoBART로 대화를 요약합니다: 대화 하나도, 파일에 든 수천 개도 됩니다.

배우는 것: 요약은 빔 서치로 쓰는 일이 많습니다. 사람의 요약이 있는 파일이라면 ROUGE를 계산하고,
첫 발화나 가장 긴 발화를 그대로 요약이라고 했을 때와 비교합니다.

    python task3-gen/infer_sum-1.py --dialogue "#Person1#: 서윤아, 토요일에 같이 영화 볼래?\n\
    #Person2#: 토요일에는 민호를 만나야 해. 일요일은 어때?\n#Person1#: 좋아. 어디서 몇 시에 볼까?\n\
    #Person2#: 도담극장에서 오후 3시에 보자."
    python task3-gen/infer_sum-1.py --input task3-gen/data/dialogues/dev.csv
    python task3-gen/infer_sum-1.py --input test.csv --output submission.csv
    python task3-gen/infer_sum-1.py --input test.csv --output submission.csv --resume   # 이어서
"""

import sys

from ratsnlp import nlpbook
from ratsnlp.nlpbook.summarization import (
    Predictor,
    SummarizationInferArguments,
    SummaryOutput,
    read_input,
)

if __name__ == "__main__":
    args = nlpbook.load_arguments(
        SummarizationInferArguments,
        pretrained_model_name="digit82/kobart-summarization",
        max_new_tokens=100,
        min_new_tokens=30,
        num_beams=5,
        no_repeat_ngram_size=3,  # 같은 토큰 세 개가 이어서 두 번 나오지 않게 합니다.
        length_penalty=1.0,
        repetition_penalty=1.5,
        early_stopping=True,
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
