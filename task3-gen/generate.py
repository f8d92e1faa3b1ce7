r"""프롬프트를 이어 쓴 텍스트를 생성합니다: 프롬프트 하나도, 파일에 든 수천 개도 됩니다.

배우는 것: 여러 프롬프트를 한 배치로 이어 쓰면 빠릅니다(CPU에서 kogpt-mini는 세 배쯤). 길이를
맞추려고 앞에 패딩을 넣지만, 어텐션 마스크로 가리므로 배치로 쓴 텍스트도 하나씩 쓴 것과 같습니다.

    python task3-gen/generate.py --prompt "이 영화는" --length 100 --top_k 50 --top_p 0.95 \
        --temperature 0.7 --repetition_penalty 1.2 --num_return_sequences 5
    python task3-gen/generate.py --prompt "긍정" --do_sample --stream \
        --model_name_or_path output/nsmc-gen/train_gen-by-kogpt-mini
    python task3-gen/generate.py --input prompts.txt --output texts.jsonl
    python task3-gen/generate.py --input prompts.txt --output texts.jsonl --resume   # 이어서
    python task3-gen/generate.py --input prompts.txt --output texts.jsonl --devices 4  # GPU 넷으로
    python task3-gen/generate.py --chat --model_name_or_path output/fine_tuned_models

infer_gen-0.py에서 비교하는 디코딩 옵션을 모두 쓸 수 있습니다. 표준 출력에는 텍스트만 나오므로
파이프로 연결할 수 있습니다. --prompt도 --input도 없으면 표준 입력에서 한 줄에 하나씩 읽습니다.
파이썬 코드에서는 Predictor를 씁니다.
"""

import sys
from functools import partial

from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import (
    GenerationGenerateArguments,
    Predictor,
    TerminalChat,
    TextOutput,
    read_prompts,
)

if __name__ == "__main__":
    args = nlpbook.load_arguments(GenerationGenerateArguments)
    if args.is_finished:
        print(f"이미 끝났습니다: {args.output}", file=sys.stderr)
        sys.exit()

    # 1. 프롬프트
    prompts = [] if args.chat else read_prompts(args)

    # 2. 모델과 토크나이저
    predictor = Predictor.from_pretrained(
        args.model_name_or_path, args.device, args.engine, args.compute_type, args.seed,
        args.devices)

    # 3. --chat이면 대화합니다. 모델은 기억이 없으므로, 물을 때마다 지난 대화를 모두 다시 읽습니다.
    if args.chat:
        chat = TerminalChat(predictor, args)
        for question in chat.questions():
            chat.answer(question)
        sys.exit()

    # 4. --stream이면 쓰는 대로 한 글자씩 출력합니다.
    if args.stream:
        write = partial(print, end="", flush=True)
        for prompt in prompts:
            write(prompt.rstrip() if args.with_prompt else "")
            predictor.predict_single(prompt, seed=args.seed, write=write, **args.generation)
            write("\n")
        sys.exit()

    # 5. 토큰 수가 비슷한 것끼리 한 배치로. 끝난 배치는 .part 파일에 남아 --resume으로 이어집니다.
    with TextOutput(args, prompts, predictor) as output:
        for batch in predictor.batches(
                prompts, args.batch_size, args.num_return_sequences, seed=args.seed,
                whole_sentences=args.whole_sentences, start=output.batches, **args.generation):
            output.add(batch)

        # 6. 프롬프트의 순서대로 저장합니다.
        output.finish()
