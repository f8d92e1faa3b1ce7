r"""모델을 다른 엔진이 바로 읽는 폴더로 내보내고, 엔진마다 같은 텍스트를 쓰는지 실행해 봅니다.

배우는 것: 모델의 폴더는 가중치가 전부가 아닙니다. 어느 클래스로 토큰을 나눌지, 어느 토큰에서
끝낼지, 샘플링할 때 몇 개에서 뽑을지를 파일에 적어 두지 않으면 엔진마다 다르게 정합니다. 그래서
설정만 읽어 보지 않고, 그리디 서치(늘 확률이 가장 높은 토큰을 고르므로 난수가 없습니다)로 쓴
텍스트를 비교합니다.

    python task3-gen/export.py output/nsmc-gen/train_gen-by-kogpt-mini --check
    python task3-gen/export.py skt/kogpt2-base-v2 --dtype bfloat16 --output output/kogpt2-bf16
    python task3-gen/export.py 학습한_폴더 --check --only transformers vllm --vllm 환경/bin/python

학습한 폴더는 가장 좋은 체크포인트를, LoRA라면 기반 모델에 합쳐서 내보냅니다. 학습이 끝날 때
저장되는 huggingface 폴더와 같은 파일이고, greedy.json(그리디 서치로 쓴 텍스트와 토큰 번호)이 더
있습니다. 다른 컴퓨터로 옮긴 폴더도 그것과 비교합니다. kogpt-mini를 CPU에서 비교하는 데 2분쯤
걸립니다(vLLM은 1분쯤 더). 실행한 엔진이 하나라도 다르면 종료 코드는 1입니다. 엔진별로 측정한
표와 vLLM을 설치하는 방법은 docs/export.md에 있습니다.
"""

import signal
import sys

from ratsnlp import nlpbook
from ratsnlp.nlpbook.exporting.arguments import ExportArguments, with_model_named

if __name__ == "__main__":
    sys.argv[1:] = with_model_named(sys.argv[1:])
    args = nlpbook.load_arguments(ExportArguments)

    # PyTorch와 transformers는 여기서 불러옵니다.
    from ratsnlp.nlpbook.display import pad
    from ratsnlp.nlpbook.exporting.comparison import DIFFERENT
    from ratsnlp.nlpbook.exporting.engines import check
    from ratsnlp.nlpbook.exporting.folder import export
    from ratsnlp.nlpbook.exporting.greedy import asked_in, read_greedy

    # 1. 다른 엔진이 읽는 폴더로
    folder = export(args)
    greedy = read_greedy(folder)
    print(f"내보낸 폴더: {folder} ({greedy['dtype']})")

    # 2. 그 폴더를 transformers로 읽어 그리디 서치로 쓴 텍스트
    for text in greedy["texts"]:
        print(f"  {asked_in(text)} │{text['text']}")

    # 3. --check면 엔진마다 실행해 비교합니다. 창을 닫으면 띄운 서버도 함께 끝냅니다.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: sys.exit(1))
    differs = False
    for outcome in check(folder, args) if args.check else []:
        print(f"{pad(outcome.engine, 20)}{pad(outcome.verdict, 11)}{outcome.reason}", flush=True)
        for whose, text in zip(("여기", "엔진"), outcome.texts, strict=False):
            print(f"    {whose}: {text}")
        differs |= outcome.verdict == DIFFERENT
    sys.exit(differs)
