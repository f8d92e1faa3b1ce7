"""모델을 평가합니다: 리뷰를 얼마나 잘 예측하는지, 제어 단어를 따르는지, 사람처럼 쓰는지.

배우는 것: 손실 하나로는 모델을 다 알 수 없습니다. 글자당 비트(토크나이저가 다른 모델끼리도 비교할
수 있는 손실), 제어 단어를 따른 비율, 반복과 다양성을 사람이 쓴 테스트 리뷰의 값과 비교하세요.
지표의 뜻과 출처는 ratsnlp/nlpbook/evaluation/에 있고, 결과는 모델 폴더의 report.md에 남습니다.
    python task3-gen/eval_gen.py --downstream_model_dir output/nsmc-gen/train_gen-by-kogpt-mini
    python task3-gen/eval_gen.py --compare output/가 output/나  # 두 학습의 다른 설정과 결과를 표로
"""

import random
from functools import partial

from ratsnlp import nlpbook
from ratsnlp.nlpbook.evaluation.runs import compare_runs
from ratsnlp.nlpbook.generation import (
    GenerationEvalArguments,
    NsmcCorpus,
    PolarityJudge,
    agreement,
    bits_per_character,
    combined_agreement,
    diversity,
    load_for_inference,
    report_table,
    reviews_by_word,
    sample_texts,
    write_report,
)
from ratsnlp.nlpbook.generation.replicas import load_replicas

from tqdm import tqdm

if __name__ == "__main__":
    args = nlpbook.load_arguments(GenerationEvalArguments)
    if args.compare is not None:
        print(compare_runs(args.compare))
        raise SystemExit
    nlpbook.fetch_corpus(args)

    # 1. 모델(--devices 4면 GPU 넷에 하나씩 두고 배치를 나누어 계산합니다)과, 사람이 쓴 리뷰
    model, tokenizer = load_replicas(partial(load_for_inference, args), args.device, args.devices)
    corpus = f"{args.downstream_corpus_root_dir}/{args.downstream_corpus_name}"
    train = NsmcCorpus().get_examples(corpus, "train")
    test = NsmcCorpus().get_examples(corpus, "test")[: args.limit or None]
    human = reviews_by_word(test, ("긍정", "부정"))
    progress = partial(tqdm, leave=False, disable=None)  # 터미널에서만 보입니다.

    # 2. 얼마나 잘 예측하는지: 모델이 테스트 리뷰의 토큰에 준 확률로 계산합니다.
    bits = bits_per_character(model, tokenizer, test, args.batch_size, progress)

    # 3. 제어 단어를 따르는지: 학습용 리뷰로 학습한 분류기로 확인합니다.
    judge = PolarityJudge.fit(train, nlpbook.OUTPUT / "judges")
    samples, control = {}, {}
    for seed, word in enumerate(human, start=args.seed):
        samples[word] = sample_texts(  # 시드가 같으면 두 단어의 텍스트가 비슷해집니다.
            model, tokenizer, word, args.samples, seed, args.top_p, progress=progress)
        control[word] = agreement(  # 분류기도 틀리므로, 사람의 리뷰를 맞힌 비율과 비교합니다.
            judge, word, [sample.text for sample in samples[word]], human[word])
    control["둘 다"] = combined_agreement(control)

    # 4. 사람처럼 쓰는지: 같은 수의 테스트 리뷰와 비교합니다.
    written = [sample.text for word in samples for sample in samples[word]]
    drawn = [text for texts in human.values()
             for text in random.Random(args.seed).sample(texts, min(args.samples, len(texts)))]
    known = [example.own_text for example in train]
    likeness = {"model": diversity(written, known), "human": diversity(drawn, known)}

    # 5. 보고서
    report = write_report(args, len(test), bits, control, likeness, samples)
    print(f"\n{report_table(report)}\n\n보고서: {args.report_dir}/report.md")
