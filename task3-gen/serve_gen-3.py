"""파인튜닝한 Polyglot-Ko 1.3B를 웹 페이지에서 씁니다: http://127.0.0.1:9003

배우는 것: 체크포인트에는 가중치만 있습니다. 설정으로 모델을 만들어 가중치를 불러오고, 텍스트를
입력받아 텍스트를 반환하는 함수 하나를 넘기면 웹 서비스가 됩니다.

    python task3-gen/serve_gen-3.py  # train_gen-3.py의 가장 좋은 체크포인트
    python task3-gen/serve_gen-3.py --host 0.0.0.0 --port 8080  # 다른 컴퓨터에서도 접속할 수 있게
"""

from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import (
    GenerationDeployArguments,
    GenerationService,
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
    args = nlpbook.load_arguments(
        GenerationDeployArguments,
        pretrained_model_name="EleutherAI/polyglot-ko-1.3b",
        downstream_model_dir=nlpbook.OUTPUT / "nsmc-gen/train_gen-by-polyglot-ko-1.3b",
        port=9003,
    )

    if args.engine == "openai":  # 모델은 다른 서버에서 실행 중입니다(--engine_url).
        run_web_service(get_web_service_app(GenerationService(args=args)), args)
        raise SystemExit

    # 1. 설정으로 모델을 만들고, 체크포인트의 가중치를 이름 앞의 'model.'을 떼고 불러옵니다.
    from transformers import AutoModelForCausalLM
    config = load_config(args.model_name_or_dir)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    checkpoint = load_checkpoint(args.downstream_model_checkpoint_fpath, model)
    model.load_state_dict(
        {name.removeprefix("model."): tensor for name, tensor in checkpoint.items()}, strict=True)
    del checkpoint  # 파일을 닫습니다. Windows에서는 열려 있는 파일을 바꾸거나 지울 수 없습니다.

    # 2. 토크나이저
    tokenizer = load_tokenizer(args.model_name_or_dir)
    model = use_special_tokens(model, tokenizer).eval().to(
        "cuda" if torch.cuda.is_available() else "cpu")

    # 3. 텍스트를 입력받아 텍스트를 반환하는 함수
    def inference_fn(prompt, min_length=10, max_length=50, top_p=1.0, top_k=50,
                     repetition_penalty=1.0, no_repeat_ngram_size=0, temperature=1.0):
        input_ids = encode_prompt(model, tokenizer, prompt, max_length)
        with torch.inference_mode():
            generated_ids = model.generate(
                input_ids,
                do_sample=temperature > 0, temperature=temperature or 1.0,  # 온도 0은 그리디 서치
                min_length=min_length, max_length=max_length,
                top_p=top_p, top_k=top_k,
                repetition_penalty=repetition_penalty, no_repeat_ngram_size=no_repeat_ngram_size,
            )
        return {"result": readable(tokenizer, generated_ids[0])}

    # 4. 여러 사람이 함께 쓰도록, 여러 요청을 한 배치로 처리하고 토큰이 나오는 대로 보냅니다.
    service = inference_fn if args.engine == "book" else GenerationService(model, tokenizer, args)

    # 5. 웹 서비스
    run_web_service(get_web_service_app(service), args)
