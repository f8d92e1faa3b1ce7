"""Answers of step 5: (TODO, what is written there, words of the sentence)."""

ARGUMENTS = {
    "do_sample": "temperature > 0", "temperature": "temperature or 1.0", "min_length": "min_length",
    "max_length": "max_length", "top_p": "top_p", "top_k": "top_k", "repetition_penalty": "repetition_penalty",
    "no_repeat_ngram_size": "no_repeat_ngram_size"}
RETURN = 'return {"result": readable(tokenizer, generated_ids[0])}'
DEPLOY = "deploy_args = GenerationDeployArguments(downstream_model_dir=folder, port=args.port)"
READY = "model = model.eval().to(device)"


def generate(returned: str = RETURN, **changes: str | None) -> str:
    """TODO 4 with other arguments (None: without it) or another end."""
    given = ", ".join(f"{name}={value}" for name, value in (ARGUMENTS | changes).items() if value is not None)
    return f"generated_ids = model.generate(input_ids, {given})\n{returned}"


def load(name: str, more: str = "", ready: str = READY) -> str:
    """TODO 3 with the names of the tensors made by the expression ``name``."""
    return f"model.load_state_dict({{{name}: tensor for name, tensor in checkpoint.items()}}{more})\n{ready}"


RIGHT_NAME = 'name.removeprefix("model.")'

WRONG = [
    (1, 'device = "gpu"', "'gpu'라는 장치는 없습니다"),
    (1, "device = torch.cuda.is_available()", "장치의 이름이어야 하는데 False입니다"),
    (1, 'device = "cuda" if not torch.cuda.is_available() else "cpu"', "device: "),
    (2, "deploy_args = GenerationDeployArguments(downstream_model_dir=folder)", "포트가 9000입니다"),
    (2, "deploy_args = GenerationDeployArguments(downstream_model_dir=args.output_dir, port=args.port)",
        "4단계의 체크포인트가 있는 폴더는 folder입니다"),
    (2, "from ratsnlp.nlpbook.paths import KOGPT_MINI\n"
        "deploy_args = GenerationDeployArguments(downstream_model_dir=KOGPT_MINI, port=args.port)", "모델 폴더입니다"),
    (2, "deploy_args = GenerationDeployArguments(port=args.port)", "하나를 지정하세요"),
    (2, "deploy_args = GenerationDeployArguments(\n"
        '    downstream_model_checkpoint_fpath=sorted(folder.glob("*.ckpt"))[-1], port=args.port)',
        "val_loss가 낮은 체크포인트가 있습니다"),
    (3, load("name", ", strict=True"), "앞의 'model.'을 떼지 않았습니다."),
    (3, load("name", ", strict=False"), "아무 말 없이 건너뜁니다"),
    (3, load('name.removeprefix("model")', ", strict=True"), "점을 남겼습니다"),
    (3, load('name.lstrip("model.")', ", strict=False"), "다른 글자까지 떼었습니다"),
    (3, READY, "체크포인트의 가중치를 불러오지 않았습니다"),
    (3, "model.load_state_dict({\n    name.removeprefix('model.'): tensor for name, tensor in checkpoint.items()\n"
        f"    if '.h.' in name}}, strict=False)\n{READY}", "나머지는 무작위인 그대로입니다"),
    (3, "from ratsnlp.nlpbook.generation import load_model\n"
        'model = load_model("kogpt-mini", tokenizer).eval().to(device)', "파인튜닝하기 전의 가중치입니다"),
    (3, "from transformers import AutoModel\nmodel = AutoModel.from_config(config).eval()", "구조가 다릅니다"),
    (3, load(RIGHT_NAME, ready="model = model.to(device)"), "학습 모드입니다"),
    (3, f"model = model.load_state_dict({{{RIGHT_NAME}: tensor for name, tensor in checkpoint.items()}})",
        "모델이어야 하는데 _IncompatibleKeys입니다"),
    (4, generate(max_length="50"), "max_length 없이 부를 때와 같은 텍스트"),
    *[(4, generate(**{name: None}), f"{name}=") for name in ARGUMENTS if name not in ("do_sample", "temperature")],
    (4, generate(temperature=None), "temperature=0.001)"),
    (4, generate(do_sample="True"), "부를 때마다 다른 텍스트가 나옵니다"),
    (4, generate(do_sample="True", temperature="temperature"), "온도가 0이면 do_sample=False"),
    (4, generate(do_sample="False", temperature=None), "온도가 1.5인데도 부를 때마다 같은 텍스트"),
    (4, generate("return readable(tokenizer, generated_ids[0])"), "텍스트만 반환했습니다"),
    (4, generate("print(readable(tokenizer, generated_ids[0]))"), "반환한 것이 없습니다"),
    (4, generate('return {"result": generated_ids[0]}'), "result가 텍스트가 아니라 Tensor입니다"),
    (4, generate('return {"text": readable(tokenizer, generated_ids[0])}'), "하는데 이름이 text입니다"),
    (4, generate('return {"result": readable(tokenizer, generated_ids)}'), "TypeError"),
    (4, generate('return {"result": readable(tokenizer, generated_ids[0, input_ids.shape[1]:])}'),
        "새로 쓴 부분만 나왔습니다"),
    (4, generate('return {"result": tokenizer.decode(generated_ids[0])}'), "특수 토큰까지 나왔습니다"),
    (4, generate('return {"result": readable(tokenizer, input_ids[0])}'), "프롬프트뿐입니다"),
    (4, 'return {"result": "이 배우는 이 영화에 출연한 모든 배우는 이 영화에 출연한 모든 배우다"}',
        "파일에 적어 넣은 텍스트를 반환했습니다"),
    (4, "input_ids = encode_prompt(model, tokenizer, args.prompt, max_length)\n" + generate(),
        "그 문장으로 시작하지 않습니다"),
    (4, "from ratsnlp.nlpbook.generation import load_pretrained\nmini, _ = load_pretrained('kogpt-mini')\n"
        + generate().replace("model.generate", "mini.generate"), "파인튜닝하기 전의 모델이 쓴 텍스트"),
    (5, "app = get_web_service_app(inference_fn(args.prompt))", "함수를 부른 결과가 아니라"),
    (5, "from flask import Flask\napp = Flask(__name__)", "페이지가 없습니다"),
    (5, "app = get_web_service_app", "웹 앱(Flask)이어야 하는데 function입니다"),
    (5, 'app = get_web_service_app(lambda prompt, **options: {"result": prompt})', "다른 텍스트로 답했습니다"),
    (6, "pass", "app을 만들었지만 실행하지 않았습니다"),
    (6, "run_web_service(app, args)", "웹 앱 app과 서비스의 설정 deploy_args를 이 순서로"),
    (6, "app.run(port=0)", "번 포트에서 기다립니다"),
    (6, 'run_web_service(get_web_service_app(lambda **options: {"result": "안녕"}), deploy_args)',
        "POST /api에 다른 텍스트로 답했습니다"),
]

RIGHT = [
    (1, "from ratsnlp.nlpbook.devices import resolve_device\ndevice = resolve_device()"),
    (1, 'device = torch.device("cuda:0" if torch.cuda.device_count() else "cpu")'),
    (2, DEPLOY),
    (2, "deploy_args = GenerationDeployArguments(\n"
        '    downstream_model_checkpoint_fpath=min(folder.glob("*.ckpt")), host=args.host, port=args.port)'),
    (3, load('name.replace("model.", "", 1)')),
    (3, "with torch.no_grad():\n    for name, tensor in model.state_dict().items():\n"
        '        tensor.copy_(checkpoint[f"model.{name}"])\n' + READY),
    (4, "options = dict(min_length=min_length, max_length=max_length, top_p=top_p, top_k=top_k,\n"
        "               repetition_penalty=repetition_penalty, no_repeat_ngram_size=no_repeat_ngram_size)\n"
        "if temperature == 0:\n    generated_ids = model.generate(input_ids, do_sample=False, **options)\n"
        "else:\n    generated_ids = model.generate(input_ids, do_sample=True, temperature=temperature, **options)\n"
        'return {"result": tokenizer.decode(generated_ids[0], skip_special_tokens=True), "tokens": 50}'),
    (4, "model.eval()\n" + generate()),
    (5, "from ratsnlp.nlpbook.generation import GenerationService\n"
        "app = get_web_service_app(GenerationService(model, tokenizer, deploy_args))"),
    (5, "from flask import Flask, request\napp = Flask(__name__)\n"
        '@app.get("/")\ndef page():\n    return "<h1>이어 쓰기</h1>"\n'
        '@app.post("/api")\ndef api():\n'
        '    return inference_fn(**request.json) if request.json.get("top_p", 1) <= 1 else ({"result": ""}, 400)'),
    (6, "app.run(port=args.port)"),
    (6, "import waitress\nwaitress.serve(app, host=deploy_args.host, port=deploy_args.port)"),
    (6, "run_web_service(app, deploy_args, open_page=True)"),
]
