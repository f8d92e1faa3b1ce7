r"""프롬프트로 유도하기: 프롬프트의 표현, 제어 단어, 예시 두 개를 비교합니다.

배우는 것: 프롬프트의 표현은 이어 쓸 내용을 바꿉니다. 그러나 '긍정'이 칭찬하라는 지시라는 것은
파인튜닝해야 압니다. 큰 모델은 예시 몇 개로 새 태스크를 하지만, 작은 모델은 예시의 말투를 따라 할
뿐입니다. 칭찬을 예시로 들면 칭찬이 늘지만, '가'가 칭찬이고 '나'가 불평이라는 것은 예시로 배우지
못합니다. 분류기는 이어 쓴 부분만 봅니다. 괄호는 95% 신뢰 구간, ■는 구간에 0이 없는 것입니다.

    python task3-gen/topic_prompts.py                    # 파인튜닝 전과 후, CPU에서 1분쯤
    python task3-gen/topic_prompts.py --samples 300      # 더 정확하게
    python task3-gen/topic_prompts.py --prompts "솔직히" "아이와 함께" "별점 1점:"
"""

from course.topics import PromptsArguments, average, difference, share
from ratsnlp import nlpbook
from ratsnlp.nlpbook.devices import resolve_device
from ratsnlp.nlpbook.display import table
from ratsnlp.nlpbook.evaluation.metrics import syllables
from ratsnlp.nlpbook.generation import PolarityJudge, sample_texts

GOOD, BAD = "정말 재미있어요.", "너무 지루해요."
FEW_SHOT = {  # 칭찬이 이어져야 할 프롬프트들, 불평이 이어져야 할 프롬프트들
    "예시의 말투": ([f"리뷰 1: {GOOD} 리뷰 2: 최고의 영화예요. 리뷰 3:"],
               [f"리뷰 1: {BAD} 리뷰 2: 최악의 영화예요. 리뷰 3:"]),
    "라벨의 뜻": ([f"가: {GOOD} 나: {BAD} 가:", f"가: {BAD} 나: {GOOD} 나:"],
              [f"가: {GOOD} 나: {BAD} 나:", f"가: {BAD} 나: {GOOD} 가:"]),
}

if __name__ == "__main__":
    args = nlpbook.load_arguments(PromptsArguments)
    judge = PolarityJudge.load()

    # 1. 프롬프트를 이어 쓴 부분. 아무것도 쓰지 않고 끝낸 것은 뺍니다.
    def written(model, tokenizer, prompt, seed, count):
        samples = sample_texts(
            model, tokenizer, prompt, count, seed, args.top_p, max_new_tokens=48)
        return [sample.text for sample in samples if syllables(sample.text)]

    def positive(texts):
        return int(judge.says_positive(texts).sum()), len(texts)

    rows, steered = [[prompt] for prompt in args.prompts], []
    for name, load in args.models.items():
        model, tokenizer = load()
        model = model.to(resolve_device())  # GPU가 있으면 GPU로

        # 2. 프롬프트마다 긍정으로 분류된 비율, 평균 글자 수, 텍스트 세 개
        for seed, (prompt, row) in enumerate(zip(args.prompts, rows, strict=True), args.seed):
            texts = written(model, tokenizer, prompt, seed, args.samples)
            row += [share(*positive(texts)), average([len(syllables(text)) for text in texts])]
            print(f"\n{name}, {prompt}", *texts[:3], sep="\n  ")

        # 3. 예시 두 개(퓨샷): '라벨의 뜻'은 예시의 순서와 라벨을 바꾼 것까지 합칩니다.
        for what, sides in FEW_SHOT.items():
            counts = [positive([
                text for seed, prompt in enumerate(side, args.seed + 10 * number)
                for text in written(model, tokenizer, prompt, seed, args.samples // len(side))])
                for number, side in enumerate(sides)]
            steered.append([f"{name}, {what}", *(share(*each) for each in counts),
                            difference(*counts)])

    # 4. 비교
    heads = [f"{name}{what}" for name in args.models for what in (": 긍정", ", 글자 수")]
    print("\n" + table([["프롬프트", *heads], *rows]))
    print("\n" + table([["바꾼 것", "칭찬 쪽", "불평 쪽", "차이"], *steered]))
