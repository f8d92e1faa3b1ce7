r"""책의 방법(book)에서 여기의 방법(standard)까지, 한 가지씩 바꾸며 얼마나 빨라지는지 측정합니다.

배우는 것: 같은 모델, 같은 데이터, 같은 에폭이라도 무엇을 어떻게 계산하느냐에 따라 속도와 결과가
달라집니다. 단계마다 하나만 바꾸므로 무엇으로 얼마나 빨라지는지 보입니다. 허깅페이스의 Trainer를
쓰는 흔한 두 방법도 같은 조건에서 측정합니다.

    python task3-gen/bench_gen.py                                  # make bench와 같습니다
    python task3-gen/bench_gen.py --limit 5000 \
        --downstream_corpus_root_dir ~/Korpora --downstream_corpus_name nsmc
    python task3-gen/bench_gen.py --only book standard --rounds 5  # 몇 가지만
    python task3-gen/bench_gen.py --what lora                      # LoRA와 QLoRA
    python task3-gen/bench_gen.py --what gpu                       # GPU에서의 학습
    python task3-gen/bench_gen.py --what memory                    # 계산한 메모리와 측정한 메모리
    python task3-gen/bench_gen.py --what decoding                  # 텍스트를 생성하는 속도
    python task3-gen/bench_gen.py --what serving                   # 서버: 여러 명이 함께 쓸 때

방법들을 번갈아 여러 번 측정하므로 그사이 컴퓨터가 느려져도 비율은 믿을 만합니다. 측정할 때마다
프로세스를 새로 만들어 메모리도 따로 측정합니다. 글자당 비트는 모두 같은 조건으로 평가합니다: 테스트
리뷰를 자르지 않고, 패딩과 token_type_ids 없이, float32로 계산합니다. 끝으로, book이 모든 에폭을
마치고 도달한 글자당 비트에 standard(한 에폭의 학습률 스케줄)가 몇 초 만에 도달하는지 측정합니다.
마지막 줄은 JSON입니다.

--what lora는 train_gen-N.py로 모델 전체, LoRA, QLoRA(requirements-qlora.txt)를 한 에폭씩 학습해
시간, 메모리, 결과, 체크포인트의 크기를 비교합니다. --pretrained_model_name이 N을 정합니다.

--what gpu는 train_gen-1.py부터 train_gen-3.py까지를 모델 전체, LoRA, QLoRA로 한 에폭씩 학습해 초당
토큰, GPU 사용률, 메모리를 측정합니다(저장하지 않습니다). --batches 32 256은 배치 크기를 바꿉니다.

--what memory는 학습을 시작할 때 알려 주는 메모리를 실제로 쓴 메모리와 비교합니다(GPU나 Linux).

--what decoding은 infer_gen-0.py의 열여섯 설정을 하나씩 실행할 때와 한 배치로 실행할 때를, 그리고
transformers와 CTranslate2(requirements-ctranslate2.txt)를 번갈아 측정합니다.

--what serving은 train_gen-0.py의 모델을 책의 방식, 여기의 방식, CTranslate2로 서비스하는 서버를
차례로 띄워, 클라이언트 1·4·16·32명이 함께 요청할 때의 처리량과 지연 시간을 측정합니다(15분 안팎).
--vllm이나 VLLM_PYTHON이 vLLM이 설치된 환경의 파이썬을 가리키면 vLLM도, 그리고 그 앞에 놓은
페이지(--engine openai)도 같은 요청으로 측정합니다.

--what outage는 여러 명이 페이지를 쓰는 동안 뒤의 vLLM을 죽이고 다시 띄워, 잃은 요청과 기다린 요청을
셉니다(--vllm이 필요합니다).

환경 변수 GENUINE_RATSNLP_PYTHON이 ratsnlp 1.0.53 원본이 설치된 파이썬을 가리키면
(tests/genuine/record.py) 그것도 측정합니다.
"""

from bench.arguments import BenchArguments
from ratsnlp import nlpbook

if __name__ == "__main__":
    bench = nlpbook.load_arguments(BenchArguments)

    # PyTorch, Lightning, transformers는 여기서 불러옵니다.
    from bench import decoding, gpu, lora, memory, outage, serving, speed

    {"training": speed, "lora": lora, "gpu": gpu, "memory": memory, "decoding": decoding,
     "serving": serving, "outage": outage}[bench.what].main(bench)
