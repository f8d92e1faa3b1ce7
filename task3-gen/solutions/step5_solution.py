"""5단계: 파인튜닝한 모델을 웹 서비스로 만듭니다. (30분)

배우는 것: 체크포인트에는 가중치만 있습니다. 설정으로 같은 구조의 모델을 만들어 가중치를 불러오고,
문장을 받아 이어 쓴 텍스트를 반환하는 함수 하나를 넘기면 웹 서비스가 됩니다.

TODO는 여섯 개입니다. 4단계에서 학습한 모델을 쓰고, 다 채우면 브라우저에 페이지가 열립니다.
서비스를 끝내려면 터미널에서 Ctrl-C를 누르세요.

    python task3-gen/solutions/step5_solution.py
    python task3-gen/solutions/step5_solution.py --port 9100 --host 0.0.0.0  # 옆 사람도 접속할 수 있게
    python task3-gen/check.py 5           # 맞았는지 확인합니다
    python task3-gen/check.py 5 --hint    # 막히면 힌트를 하나씩
    python task3-gen/solutions/step5_solution.py --model skt/kogpt2-base-v2  # 4단계도 이 모델로 했다면
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from course import ServiceStepArguments, load_arguments, trained_folder
from ratsnlp.nlpbook.generation import (
    GenerationDeployArguments,
    encode_prompt,
    get_web_service_app,
    load_checkpoint,
    load_config,
    load_tokenizer,
    readable,
    run_web_service,
    use_special_tokens,
)

import torch

if __name__ == "__main__":
    args = load_arguments(ServiceStepArguments)

    # 1. 장치
    # 풀이 1: 계산할 장치의 이름을 정하세요. CUDA GPU가 있으면 GPU, 없으면 CPU입니다.
    device = "cuda" if torch.cuda.is_available() else "cpu"

    # 2. 어느 모델을 어디에서 서비스할지
    folder = trained_folder(args)  # 4단계에서 학습한 폴더
    # 풀이 2: 모델의 폴더(downstream_model_dir)와 포트(port)를 정하세요. folder와 args에 있습니다.
    deploy_args = GenerationDeployArguments(
        downstream_model_dir=folder, port=args.port, host=args.host)

    # 3. 설정으로 모델을 만듭니다. 구조는 학습한 모델과 같지만, 가중치는 아직 무작위입니다.
    from transformers import AutoModelForCausalLM
    config = load_config(deploy_args.model_name_or_dir)
    tokenizer = load_tokenizer(deploy_args.model_name_or_dir)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    use_special_tokens(model, tokenizer)

    # 4. 체크포인트의 가중치: 4단계의 태스크 안에 있던 모델의 것이라 이름이 조금 다릅니다.
    checkpoint = load_checkpoint(deploy_args.downstream_model_checkpoint_fpath, model)
    print("체크포인트의 이름:", next(iter(checkpoint)))
    print("모델의 이름:", next(iter(model.state_dict())))
    # 풀이 3: 이름을 맞추어 불러오고(strict=True), 생성할 모드로 바꾸어 device로 옮기세요.
    model.load_state_dict(
        {name.removeprefix("model."): tensor for name, tensor in checkpoint.items()}, strict=True)
    model = model.eval().to(device)
    del checkpoint  # 파일을 닫습니다. Windows에서는 열려 있으면 4단계를 다시 실행할 수 없습니다.

    # 5. 요청 하나를 처리하는 함수: 웹 페이지에서 조절한 값이 이 인수들로 들어옵니다.
    def inference_fn(prompt, min_length=10, max_length=50, top_p=1.0, top_k=50,
                     repetition_penalty=1.0, no_repeat_ngram_size=0, temperature=1.0):
        input_ids = encode_prompt(model, tokenizer, prompt, max_length)
        with torch.inference_mode():
            # 풀이 4: 받은 값을 모두 generate에 넘기고, {"result": 텍스트}를 반환하세요.
            # 토큰을 뽑되(do_sample), 온도가 0이면 뽑지 않습니다.
            generated_ids = model.generate(
                input_ids, do_sample=temperature > 0, temperature=temperature or 1.0,
                min_length=min_length, max_length=max_length, top_p=top_p, top_k=top_k,
                repetition_penalty=repetition_penalty, no_repeat_ngram_size=no_repeat_ngram_size)
            return {"result": readable(tokenizer, generated_ids[0])}
    print(inference_fn(args.prompt, temperature=0))  # 서버를 켜기 전에 한 번 불러 봅니다.

    # 6. 웹 서비스: GET /로 페이지를 보여 주고, POST /api로 요청을 받아 이 함수를 부릅니다.
    # 풀이 5: 이 함수로 웹 앱을 만드세요.
    app = get_web_service_app(inference_fn)
    # 풀이 6: 웹 앱을 실행하세요. 설정은 deploy_args이고, open_page=args.open이면 페이지도 엽니다.
    run_web_service(app, deploy_args, open_page=args.open)
