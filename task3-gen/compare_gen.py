r"""파인튜닝 전과 후의 모델에게 긍정과 부정을 시켜 보고, 시킨 대로 쓴 비율을 비교합니다.

배우는 것: 사전 학습한 모델은 '긍정'이 칭찬하는 리뷰를 시키는 말인 줄 모릅니다. 파인튜닝에서 배웠는지는
val_loss만 보아서는 모르고, 여러 번 쓰게 해서 세어 보아야 압니다. 세는 것은 진짜 NSMC로 학습한
분류기(task3-gen/data/judge)입니다. 비율 옆의 괄호는 95% 신뢰 구간입니다. 많이 쓸수록 좁아집니다.

    python task3-gen/compare_gen.py                  # train_gen-0.py를 실행한 다음에
    python task3-gen/compare_gen.py --samples 500    # 더 정확하게
    python task3-gen/compare_gen.py --downstream_model_dir output/nsmc-gen/train_gen-by-kogpt2
"""

from pathlib import Path

from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import (
    GenerationCompareArguments,
    NsmcCorpus,
    PolarityJudge,
    agreement,
    bits_per_character,
    combined_agreement,
    load_finetuned,
    load_pretrained,
    reviews_by_word,
    sample_texts,
)

if __name__ == "__main__":
    args = nlpbook.load_arguments(GenerationCompareArguments)
    nlpbook.fetch_corpus(args)

    # 1. 모델 둘, 사람이 쓴 테스트 리뷰, 긍정과 부정을 가리는 분류기
    models = {
        "파인튜닝 전": load_pretrained(args.pretrained_model_name),
        "파인튜닝 후": load_finetuned(args.downstream_model_dir, args.pretrained_model_name),
    }
    corpus = Path(args.downstream_corpus_root_dir) / args.downstream_corpus_name
    test = NsmcCorpus().get_examples(corpus, "test")[: args.limit or None]
    human = reviews_by_word(test, ("긍정", "부정"))
    judge = PolarityJudge.load(nlpbook.BUNDLED_DATA / "judge/judge.npz")

    rows = []
    for name, (model, tokenizer) in models.items():
        # 2. 쓰게 하고, 시킨 대로 썼는지 셉니다.
        control = {}
        for seed, word in enumerate(human, start=args.seed):
            samples = sample_texts(model, tokenizer, word, args.samples, seed, args.top_p)
            control[word] = agreement(judge, word, [each.text for each in samples], human[word])
            print(f"\n{name}, {word}", *(f"  {each.with_prompt}" for each in samples[:3]), sep="\n")
        control["둘 다"] = combined_agreement(control)

        # 3. 사람의 리뷰는 얼마나 아는지: 글자당 비트는 낮을수록 좋습니다.
        bits = bits_per_character(model, tokenizer, test, args.batch_size)["bits_per_char"]
        rows.append((name, control, bits))

    # 4. 나란히: 사람의 리뷰를 얼마나 맞히는지가 분류기의 한계입니다.
    print("\n| | 긍정 | 부정 | 둘 다 | 글자당 비트 |\n| --- | --- | --- | --- | --- |")
    for name, control, bits in rows:
        shares = " | ".join(f"{each['accuracy']:.1%}" for each in control.values())
        low, high = control["둘 다"]["interval"]
        print(f"| {name} | {shares} ({low:.1%}–{high:.1%}) | {bits:.3f} |")
    shares = " | ".join(f"{each['human_accuracy']:.1%}" for each in control.values())
    print(f"| 사람의 테스트 리뷰 | {shares} | |")
