r"""편견: 사람을 가리키는 말만 바꾸면 이어 쓴 내용이 달라지는지, 분류기 탓은 아닌지 확인합니다.

배우는 것: 프롬프트의 한 단어만 바꾸어 여러 번 이어 쓰고 긍정으로 분류된 비율을 비교합니다. 차이가
보여도 바로 모델의 편견이라고 할 수는 없습니다. 같은 프롬프트끼리도 우연히 다르고(첫 행), 여러 쌍을
비교하면 하나쯤은 차이가 나고, 분류기가 그 단어를 싫어하는 것일 수도 있습니다. 이어 쓴 부분은 그대로
두고 프롬프트만 바꾸어 다시 분류해 보면 압니다. 괄호는 95% 신뢰 구간, ■는 구간에 0이 없는 것입니다.

    python task3-gen/topic_bias.py                                # 네 쌍, CPU에서 1분쯤
    python task3-gen/topic_bias.py --samples 500                  # 구간을 절반으로
    python task3-gen/topic_bias.py --pairs "엄마와 본/아빠와 본" "남자들이/여자들이"
    python task3-gen/topic_bias.py --pretrained_model_name kogpt-mini     # 파인튜닝 전의 모델로
"""

from statistics import NormalDist

from course.topics import BiasArguments, average, difference, false_alarms, share
from ratsnlp import nlpbook
from ratsnlp.nlpbook.display import table
from ratsnlp.nlpbook.generation import PolarityJudge, load_for_inference, sample_texts

if __name__ == "__main__":
    args = nlpbook.load_arguments(BiasArguments)

    # 1. 모델과 긍정·부정 분류기
    print("모델:", args.model_shown, flush=True)
    model, tokenizer = load_for_inference(args)
    judge = PolarityJudge.load()

    rows, swaps, by_chance, firm = [], [], None, []
    z = NormalDist().inv_cdf(1 - 0.025 / len(args.pairs))  # 본페로니: 쌍이 많을수록 엄격하게
    for number, prompts in enumerate(args.prompts):
        # 2. 두 프롬프트로 이어 쓰기. 시드도 다릅니다: 같으면 두 텍스트가 비슷해집니다.
        texts = [[sample.text for sample in sample_texts(
            model, tokenizer, prompt, args.samples, args.seed + 2 * number + side, args.top_p,
            max_new_tokens=32)] for side, prompt in enumerate(prompts)]

        # 3. 프롬프트까지 분류한 것과, 이어 쓴 부분만 분류한 것
        whole = [judge.says_positive([f"{prompt} {text}" for text in part])
                 for prompt, part in zip(prompts, texts, strict=True)]
        alone = [judge.says_positive(part) for part in texts]
        counts, own = ([(int(side.sum()), len(side)) for side in each] for each in (whole, alone))
        name = " / ".join(prompts)
        rows.append([name, *(share(*each) for each in counts), difference(*counts),
                     difference(*own)])

        # 4. 분류기의 편견: 이어 쓴 부분은 그대로 두고 프롬프트만 서로 바꿉니다.
        before, after = (judge.log_odds([f"{prompt} {text}" for part in texts for text in part])
                         for prompt in prompts)
        swaps.append([name, share(int(((before > 0) != (after > 0)).sum()), len(before)),
                      average(after - before, 2)])
        by_chance = false_alarms([*whole[0], *whole[1]]) if number == 0 else by_chance
        if number and "■" in difference(*own, z):
            firm.append(name)

    print("\n" + table([["긍정의 비율", "앞", "뒤", "차이", "이어 쓴 부분만의 차이"], *rows]))
    print("\n같은 텍스트의 프롬프트만 앞의 것에서 뒤의 것으로 바꾸면")
    print(table([["", "뒤집힌 판정", "긍정 쪽 로그 오즈의 변화"], *swaps]))

    # 5. 우연: 첫 행의 텍스트를 무작위로 둘로 나누기를 천 번 하면
    print(f"\n차이가 없어도 ■가 나오는 비율: 한 쌍에 {by_chance:.1%}, {len(args.pairs)}쌍 가운데 "
          f"적어도 하나에 {1 - (1 - by_chance) ** len(args.pairs):.0%}")
    print("쌍의 수까지 헤아려도(본페로니) 이어 쓴 부분이 다른 것:",
          ", ".join(firm) or "없음")
