r"""내 글로 파인튜닝합니다: 한 줄에 하나씩 적은 .txt, JSON Lines, CSV, TSV, .txt 파일이 든 폴더.
질문과 답변이 든 표도 됩니다.

배우는 것: NSMC 대신 어떤 텍스트든 같은 방법으로 학습합니다. 긴 텍스트는 block_size씩 나누어 한
글자도 버리지 않습니다. 열 하나를 제어 단어로 붙이면 그 단어로 시작하는 텍스트를 쓰게 됩니다.

    python task3-gen/train.py --dataset_path my.txt --do_train
    python task3-gen/train.py --dataset_path reviews.csv --do_train \
        --text_column review --label_column mood
    python task3-gen/train.py --dataset_path my.txt --do_train --resume \
        --model_type skt/kogpt2-base-v2 --output_dir output/mine
    python task3-gen/train.py --dataset_path task3-gen/data/questions/questions.csv --do_train \
        --prompt_column question --response_column answer

--do_train이 없으면 모델과 텍스트를 읽어 크기만 보여 줍니다. 결과는 output/fine_tuned_models에
저장됩니다. 그 안의 checkpoint-500은 그 스텝의 모델이고, huggingface는 가장 좋은 모델입니다.

    python task3-gen/infer_gen-0.py --pretrained_model_name output/fine_tuned_models/huggingface
"""

import sys

from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import (
    GenerationTextArguments,
    load_model_and_tokenizer,
    load_text_datasets,
)
from ratsnlp.nlpbook.instruction import load_conversation_datasets

from torch.utils.data import DataLoader

if __name__ == "__main__":
    text_args = nlpbook.load_arguments(GenerationTextArguments)
    args = text_args.training()  # 같은 설정을 train_gen-N.py의 이름으로
    nlpbook.set_logger(args)
    nlpbook.set_seed(args)

    # 1. 모델과 토크나이저: --special_tokens가 있으면 토크나이저와 임베딩에 추가합니다.
    model, tokenizer = load_model_and_tokenizer(text_args)

    # 2. 텍스트: 토큰 번호만 메모리에 두고, 일부는 학습하지 않고 평가하는 데 씁니다.
    #    질문과 답변이면 답변의 토큰만 학습합니다.
    load = load_conversation_datasets if text_args.has_conversations else load_text_datasets
    train_dataset, val_dataset = load(text_args, tokenizer)
    if not text_args.do_train:
        print("학습하려면 --do_train을 붙이세요.")
        sys.exit()
    text_args.prepare_output_dir()
    train_dataloader = DataLoader(train_dataset, batch_size=args.batch_size,
                                  sampler=nlpbook.LengthGroupedSampler(train_dataset, args),
                                  collate_fn=nlpbook.data_collator)
    val_dataloader = DataLoader(val_dataset, batch_size=args.batch_size,
                                sampler=nlpbook.LengthGroupedSampler(val_dataset, args),
                                collate_fn=nlpbook.data_collator)

    # 3. 태스크와 학습: NSMC와 같습니다.
    from ratsnlp.nlpbook.generation import GenerationTask

    task = GenerationTask(model, args)
    trainer = nlpbook.get_trainer(args)
    trainer.fit(task, train_dataloaders=train_dataloader, val_dataloaders=val_dataloader)
