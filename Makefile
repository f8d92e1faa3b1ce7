# 타깃마다 직접 입력할 수도 있는 명령 몇 줄입니다. make만 입력하면 코드 검사와 테스트를 합니다.
PYTHON ?= python3

.PHONY: all demo test lint bench try notebook judge short-rungs ladder figures
all: lint test

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -r requirements.txt
	touch .venv/installed

demo: .venv/installed
	.venv/bin/python task3-gen/train_gen-0.py
	.venv/bin/python task3-gen/compare_gen.py
	.venv/bin/python task3-gen/infer_gen-0.py --input_sentence 긍정 \
		--downstream_model_dir output/nsmc-gen/train_gen-by-kogpt-mini
	@printf '\n%s\n' '이제 웹 페이지를 열어 보세요: .venv/bin/python task3-gen/serve_gen-0.py'

test: .venv/installed
	.venv/bin/python -m pytest

lint: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/python tests/line_widths.py

bench: .venv/installed
	.venv/bin/python task3-gen/bench_gen.py

# 설치 없이 더블 클릭으로 여는 페이지: 브라우저가 kogpt-mini를 실행합니다.
try: .venv/installed
	.venv/bin/python docs/try/build.py output/kogpt-mini.html

# 주피터 노트북을 처음부터 끝까지 실행해 결과를 그 안에 저장합니다(2분쯤).
notebook: .venv/installed
	.venv/bin/python docs/notebook.py

NSMC_ROOT ?= $(HOME)/Korpora

# compare_gen.py의 분류기를 NSMC의 학습용 리뷰로 학습해 data/judge에 저장합니다.
JUDGE = from pathlib import Path; \
	from ratsnlp.nlpbook.generation import NsmcCorpus, PolarityJudge; \
	judge = PolarityJudge.fit(NsmcCorpus().get_examples("$(NSMC_ROOT)/nsmc", "train"), features=2**16); \
	judge.coefficients = judge.coefficients.astype("float16"); judge.save(Path("task3-gen/data/judge/judge.npz"))

judge: .venv/installed
	PYTHONPATH=task3-gen .venv/bin/python -c '$(JUDGE)'

# kogpt-mini/README.md에서 비교하는 모델을 하나씩 학습하고 평가해 output/ladder에 저장합니다. NSMC 전체는 한 에폭씩,
# longer만 두 에폭. book의 길이는 책의 32토큰.
NSMC = --downstream_corpus_root_dir $(NSMC_ROOT) --downstream_corpus_name nsmc
TRAIN = .venv/bin/python task3-gen/train_gen-0.py --resume --downstream_model_dir output/ladder
EVAL = .venv/bin/python task3-gen/eval_gen.py $(NSMC)
UNTRAINED = import transformers as t; t.set_seed(7); \
	source, target = "task3-gen/kogpt-mini", "output/ladder/untrained"; \
	t.GPT2LMHeadModel(t.GPT2Config.from_pretrained(source)).save_pretrained(target); \
	t.PreTrainedTokenizerFast.from_pretrained(source).save_pretrained(target)

short-rungs: .venv/installed
	.venv/bin/python -c '$(UNTRAINED)'
	$(EVAL) --pretrained_model_name output/ladder/untrained
	$(EVAL) --report_dir output/ladder/pretrained
	rm -rf output/ladder/mini
	$(TRAIN)/mini
	$(EVAL) --downstream_model_dir output/ladder/mini

ladder: short-rungs
	$(TRAIN)/scratch $(NSMC) --recipe standard --epochs 1 --pretrained_model_name output/ladder/untrained
	$(EVAL) --downstream_model_dir output/ladder/scratch
	$(TRAIN)/nsmc $(NSMC) --recipe standard --epochs 1
	$(EVAL) --downstream_model_dir output/ladder/nsmc
	$(TRAIN)/book $(NSMC) --epochs 1 --recipe book --max_seq_length 32
	$(EVAL) --downstream_model_dir output/ladder/book
	$(TRAIN)/contrast $(NSMC) --epochs 1
	$(EVAL) --downstream_model_dir output/ladder/contrast
	$(TRAIN)/longer $(NSMC) --recipe standard --epochs 2
	$(EVAL) --downstream_model_dir output/ladder/longer

# 문서의 표와 예문 가운데 kogpt-mini로 만든 것을 다시 만듭니다. NSMC가 있으면 금방 끝나는 모델(short-rungs)만 다시
# 학습하고 평가하며, 나머지는 output/ladder에 있는 것(make ladder)을 씁니다.
figures: $(if $(wildcard $(NSMC_ROOT)/nsmc/ratings_test.txt),short-rungs,.venv/installed)
	.venv/bin/python docs/flags.py
	.venv/bin/python docs/figures.py
