r"""BLEU, chrF, ROUGE: 텍스트가 사람의 리뷰와 얼마나 겹치는지로 점수를 매기고, 그 한계를 봅니다.

배우는 것: 채점할 텍스트(가설)를 사람의 테스트 리뷰 여럿(참조)과 비교합니다. 점수가 높다고 좋은
텍스트가 아닙니다. 뻔한 한 문장이 사람의 리뷰보다 높은 점수를 받고, 극성이 반대인 리뷰도 거의 같은
점수를 받습니다. 무엇을 단위로 세는지(글자, 어절)에 따라 순위가 바뀝니다. CPU에서 20초쯤.

    python task3-gen/topic_overlap.py                         # train_gen-0.py로 학습한 모델
    python task3-gen/topic_overlap.py --pretrained_model_name kogpt-mini     # 파인튜닝 전
    python task3-gen/topic_overlap.py --references 5          # 참조를 줄이면 점수도 낮아집니다
"""

import random

from course.topics import OverlapArguments, overlap_table, rouge_scores_own, shuffled
from ratsnlp import nlpbook
from ratsnlp.nlpbook.evaluation.rouge import rouge_l, rouge_n, words
from ratsnlp.nlpbook.generation import (
    NsmcCorpus,
    Predictor,
    load_for_inference,
    reviews_by_word,
    sample_texts,
)

if __name__ == "__main__":
    args = nlpbook.load_arguments(OverlapArguments)
    from sacrebleu.metrics import BLEU, CHRF

    # 1. 사람의 테스트 리뷰를 섞어, 참조로 쓸 것과 채점할 것으로 나눕니다.
    draw = random.Random(args.seed)
    test = NsmcCorpus().get_examples(nlpbook.BUNDLED_DATA / "mini", "test")
    human = reviews_by_word(test, ("긍정", "부정"))
    human = {word: draw.sample(texts, len(texts)) for word, texts in human.items()}
    references = {word: texts[: args.references] for word, texts in human.items()}
    others = {word: texts[args.references :][: args.samples] for word, texts in human.items()}

    # 2. 모델의 텍스트: 뽑은 것과, 확률이 가장 높은 토큰만 고른 것(그리디 서치)
    print("모델:", args.model_shown)
    model, tokenizer = load_for_inference(args)
    sampled, greedy = {}, {}
    for seed, word in enumerate(human, start=args.seed):
        samples = sample_texts(model, tokenizer, word, args.samples, seed, args.top_p)
        sampled[word] = [sample.text for sample in samples]
        greedy[word] = [Predictor(model, tokenizer).predict_single(word, do_sample=False)]

    # 3. 채점할 텍스트(가설)
    hypotheses = {
        "사람의 다른 리뷰": others,
        "극성이 반대인 사람의 리뷰": {"긍정": others["부정"], "부정": others["긍정"]},
        "어절의 순서를 섞은 리뷰": {
            word: [shuffled(text, draw) for text in others[word]] for word in human},
        "모델, 샘플링": sampled, "모델, 그리디 서치": greedy,
        f"'{args.stock}'": {word: [args.stock] for word in human},
        "참조 하나를 베낀 것": {word: references[word][:3] for word in human},
    }

    # 4. 점수: 참조 가운데 가장 잘 맞는 것으로 매깁니다(BLEU는 모든 참조의 n-gram을 모아서).
    bleu, chrf = BLEU(tokenize="char", effective_order=True), CHRF()
    metrics = {
        "BLEU": lambda text, refs: bleu.sentence_score(text, refs).score,
        "chrF": lambda text, refs: chrf.sentence_score(text, refs).score,
        "ROUGE-1": lambda text, refs: rouge_n(text, refs, 1).f1 * 100,
        "ROUGE-2": lambda text, refs: rouge_n(text, refs, 2).f1 * 100,
        "ROUGE-L": lambda text, refs: rouge_l(text, refs).f1 * 100,
        "어절 ROUGE-L": lambda text, refs: rouge_l(text, refs, words).f1 * 100,
    }
    print(overlap_table(hypotheses, references, metrics, people="사람의 다른 리뷰"))

    # 5. 한글을 버리는 도구로는 똑같은 두 텍스트도 0점입니다.
    print("rouge-score의 토크나이저로, 자기 자신과의 ROUGE-L:", rouge_scores_own(args.stock))
