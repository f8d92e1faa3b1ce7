r"""사람이 쓴 리뷰와 모델이 쓴 리뷰를 나란히 놓고, 어느 쪽이 사람의 것인지 고르게 합니다(블라인드).

배우는 것: 사람의 평가는 가장 믿을 만하지만, 몇 명이 몇 번 골랐는지에 따라 말할 수 있는 것이
다릅니다. 정답률이 50%에 가까우면 구별하지 못한 것입니다. 같은 사람의 표, 같은 짝의 표는 서로
닮아서, 표를 모두 독립으로 보면 신뢰 구간이 너무 좁아집니다. 길이로 알아채지 못하도록 길이가
비슷한 것끼리 짝짓습니다.

    python task3-gen/topic_blind.py                        # 혼자 해 보기: http://127.0.0.1:9100
    python task3-gen/topic_blind.py --host 0.0.0.0         # 수업에서: 나온 주소를 칠판에 적으세요
    python task3-gen/topic_blind.py --pairs 20 --seed 3    # 다른 짝 스무 개로

짝을 만드는 데 CPU에서 20초쯤 걸립니다. 고른 것은 그때그때 CSV에 저장되고, Ctrl-C로 끝내면 집계가
나옵니다.
"""

from course.blind import Votes, blind_app, make_pairs
from course.filtering import WordFilter
from course.topics import BlindArguments
from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import (
    NsmcCorpus,
    load_for_inference,
    reviews_by_word,
    run_web_service,
    sample_texts,
)

if __name__ == "__main__":
    args = nlpbook.load_arguments(BlindArguments)

    # 1. 사람이 쓴 테스트 리뷰
    test = NsmcCorpus().get_examples(nlpbook.BUNDLED_DATA / "mini", "test")
    human = reviews_by_word(test, ("긍정", "부정"))

    # 2. 같은 제어 단어로 모델이 쓴 텍스트: 끝까지 쓴 것만, 무례한 말이 든 것은 빼고
    print("모델:", args.model_shown, flush=True)
    model, tokenizer = load_for_inference(args)
    words, written = WordFilter.load(), {}
    for seed, word in enumerate(human, start=args.seed):
        samples = sample_texts(model, tokenizer, word, args.samples, seed, args.top_p)
        texts = [sample.text for sample in samples if sample.ended]
        written[word] = [text for text, rude in zip(texts, words.finds(texts), strict=True)
                         if not rude]

    # 3. 제어 단어가 같고 길이가 비슷한 것끼리 짝짓습니다. 제어 단어는 보여 주지 않습니다.
    pairs = make_pairs(human, written, args.pairs, args.seed)
    votes = Votes(pairs, args.votes)
    print(f"짝 {len(pairs)}개, 지금까지 고른 것 {len(votes.tally().votes)}개: {args.votes}")

    # 4. 웹 페이지: 사람마다 짝의 순서와 A, B가 다릅니다. 한 짝은 한 번만 고를 수 있습니다.
    run_web_service(blind_app(votes), args)

    # 5. 집계와 그 한계
    print(f"\n{votes.tally()}")
