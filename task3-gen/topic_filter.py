r"""욕설과 비하를 거르는 필터 두 가지(금지어 목록, 분류기)를 비교하고, 놓치는 것을 읽어 봅니다.

배우는 것: 금지어 목록은 금방 만들지만 목록에 없는 말은 놓치고 멀쩡한 문장도 막습니다. 분류기는
목록이 놓친 것도 잡지만, 예시 수백 개로는 목록보다 못합니다. 둘 다 바꿔 쓴 것은 더 놓칩니다.
정밀도는 막은 것 가운데 정말 무례한 것의 비율, 재현율은 무례한 것 가운데 막은 것의 비율, 괄호는
95% 신뢰 구간입니다. 라벨의 기준은 data/filter/README.md에 있고, 무례한 표현은 가려서 보여 줍니다.

    python task3-gen/topic_filter.py              # 30초쯤. 목록은 task3-gen/data/filter/words.txt
    python task3-gen/topic_filter.py --misses 20 --show_words              # 가리지 않고 더 많이
"""

from course.filtering import DISGUISES, WordFilter, counts, disguised, read_labelled
from course.topics import FilterArguments, share
from ratsnlp import nlpbook
from ratsnlp.nlpbook.display import table
from ratsnlp.nlpbook.generation import load_for_inference, sample_texts

if __name__ == "__main__":
    args = nlpbook.load_arguments(FilterArguments)

    # 1. 라벨이 있는 텍스트: 테스트용은 모두, 학습용은 일부를 모델이 썼습니다.
    train, test = read_labelled("train"), read_labelled("test")
    print(f"학습 {len(train)}개(무례 {sum(text.rude for text in train)}개), "
          f"테스트 {len(test)}개(무례 {sum(text.rude for text in test)}개)")

    # 2. 금지어 목록: 사이에 낀 기호와 공백은 넘어가며 찾습니다.
    words = WordFilter.load()

    # 3. 분류기: 어절 안의 글자 n-그램으로 본 로지스틱 회귀
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    classifier = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), sublinear_tf=True),
        LogisticRegression(C=10, class_weight="balanced"))
    classifier.fit([text.text for text in train], [text.rude for text in train])

    # 4. 비교: 더 막으면 재현율이 오르고 정밀도가 내려갑니다.
    filters = {
        "금지어 목록": words.finds, "분류기": classifier.predict,
        "하나라도": lambda texts: classifier.predict(texts) | words.finds(texts)}
    says = {name: finds([text.text for text in test]) for name, finds in filters.items()}
    print("\n" + table([["테스트", "정밀도", "재현율"]] + [
        [name, *counts(said, test)] for name, said in says.items()]))

    # 5. 틀린 것을 읽어 보기
    for name in ("금지어 목록", "분류기"):
        for kind, rude in (("놓친 것", True), ("잘못 막은 것", False)):
            wrong = [text for text, said in zip(test, says[name], strict=True)
                     if text.rude == rude and said != rude]
            print(f"\n{name}, {kind} {len(wrong)}개 가운데 {min(args.misses, len(wrong))}개")
            for text in wrong[: args.misses]:
                print("  ", text.text if args.show_words else words.masked(text))

    # 6. 무례한 표현을 바꿔 쓰면: 재현율
    rows = [["재현율", *filters]]
    rude = [text for text in test if text.rude]
    for how in DISGUISES:
        texts = [disguised(text, how) for text in rude]
        rows.append([how, *(share(sum(finds(texts)), len(rude)) for finds in filters.values())])
    print("\n" + table(rows))

    # 7. 필터의 비용: 새로 쓴 텍스트가 막히는 비율. 막히면 다시 써야 합니다.
    print("\n모델:", args.model_shown)
    model, tokenizer = load_for_inference(args)
    rows = [["막힌 비율", *filters]]
    for seed, word in enumerate(("긍정", "부정"), start=args.seed):
        texts = [sample.text for sample in sample_texts(
            model, tokenizer, word, args.samples, seed, args.top_p)]
        rows.append([word, *(share(sum(finds(texts)), len(texts)) for finds in filters.values())])
    print(table(rows))
