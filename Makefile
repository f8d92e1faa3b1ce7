# 목표마다 손으로 칠 수 있는 명령 몇 줄입니다. make만 치면 검사와 시험을 합니다.
PYTHON ?= python3

.PHONY: all demo test lint bench
all: lint test

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -r requirements.txt
	touch .venv/installed

demo: .venv/installed
	.venv/bin/python task3-gen/train_gen-0.py
	.venv/bin/python task3-gen/infer_gen-0.py --downstream_model_dir output/nsmc-gen/train_gen-by-kogpt-mini --input_sentence 긍정
	@printf '\n%s\n' '이제 웹 페이지를 열어 보세요: .venv/bin/python task3-gen/serve_gen-0.py'

test: .venv/installed
	.venv/bin/python -m pytest

lint: .venv/installed
	.venv/bin/ruff check .

bench: .venv/installed
	.venv/bin/python task3-gen/bench_gen.py
