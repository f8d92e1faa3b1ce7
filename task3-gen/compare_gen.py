r"""파인튜닝 전과 후의 모델이 '긍정'과 '부정'이라는 제어 단어를 얼마나 따르는지 비교합니다.

배우는 것: 사전 학습한 모델은 '긍정'이 칭찬하는 리뷰를 쓰라는 지시인 줄 모릅니다. 파인튜닝으로
배웠는지는 val_loss만 봐서는 모릅니다. 여러 번 쓰게 하고, NSMC 전체로 학습한 분류기가 같은 쪽으로
분류한 비율을 봅니다(task3-gen/data/judge). 괄호는 95% 신뢰 구간이고, 많이 쓸수록 좁아집니다.

    python task3-gen/compare_gen.py                  # train_gen-0.py를 실행한 다음에
    python task3-gen/compare_gen.py --samples 500    # 더 정확하게
    python task3-gen/compare_gen.py --downstream_model_dir output/nsmc-gen/train_gen-by-kogpt2
"""

from functools import partial
from pathlib import Path

from ratsnlp import nlpbook
from ratsnlp.nlpbook.devices import resolve_device
from ratsnlp.nlpbook.generation import (
    GenerationCompareArguments,
    NsmcCorpus,
    PolarityJudge,
    agreement,
    bits_per_character,
    combined_agreement,
    load_for_inference,
    load_pretrained,
    reviews_by_word,
    sample_texts,
)

if __name__ == "__main__":
    args = nlpbook.load_arguments(GenerationCompareArguments)
    nlpbook.fetch_corpus(args)

    # 1. 사람이 쓴 테스트 리뷰, 긍정·부정 분류기, 모델 두 개
    corpus = Path(args.downstream_corpus_root_dir) / args.downstream_corpus_name
    test = NsmcCorpus().get_examples(corpus, "test")[: args.limit or None]
    human = reviews_by_word(test, ("긍정", "부정"))
    judge = PolarityJudge.load()
    models = {
        "파인튜닝 전": partial(load_pretrained, args.pretrained_model_name),
        "파인튜닝 후": partial(load_for_inference, args),
    }

    rows = []
    for name, load in models.items():
        model, tokenizer = load()
        model = model.to(resolve_device())  # GPU가 있으면 GPU로
        # 2. 텍스트를 생성하고 분류합니다. 분류 결과가 제어 단어와 같으면 ○, 다르면 ×입니다.
        control = {}
        for seed, word in enumerate(human, start=args.seed):
            samples = sample_texts(model, tokenizer, word, args.samples, seed, args.top_p)
            texts = [sample.text for sample in samples]
            control[word] = agreement(judge, word, texts, human[word])
            print(f"\n{name}, {word}")
            for sample, positive in zip(samples[:5], judge.says_positive(texts[:5]), strict=True):
                print("  ○" if positive == (word == "긍정") else "  ×", sample.with_prompt)
        control["둘 다"] = combined_agreement(control)

        # 3. 사람의 리뷰를 얼마나 잘 예측하는지: 글자당 비트는 낮을수록 좋습니다.
        bits = bits_per_character(model, tokenizer, test, args.batch_size)["bits_per_char"]
        rows.append((name, control, bits))

    # 4. 비교: 분류기도 사람의 리뷰를 다 맞히지는 못합니다. 마지막 행이 그 비율입니다.
    print("\n| | 긍정 | 부정 | 둘 다 | 글자당 비트 |\n| --- | --- | --- | --- | --- |")
    for name, control, bits in rows:
        shares = " | ".join(f"{each['accuracy']:.1%}" for each in control.values())
        low, high = control["둘 다"]["interval"]
        print(f"| {name} | {shares} ({low:.1%}–{high:.1%}) | {bits:.3f} |")
    shares = " | ".join(f"{each['human_accuracy']:.1%}" for each in control.values())
    print(f"| 사람의 테스트 리뷰 | {shares} | |")
