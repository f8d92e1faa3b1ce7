"""Train with the genuine ratsnlp 1.0.53 what bench_gen.py hands over, and hand back seconds of training and weights.

    genuine/bin/python tests/genuine/train.py HANDED.pt BACK.pt        # the environment is record.py's
"""

import sys
import tempfile
import time

import torch
from pytorch_lightning import Callback
from torch.utils.data import DataLoader, RandomSampler
from transformers import GPT2Config, GPT2LMHeadModel

from ratsnlp import nlpbook  # the genuine one
from ratsnlp.nlpbook.generation import GenerationFeatures, GenerationTask, GenerationTrainArguments


class Watch(Callback):
    seconds = 0.0

    def on_train_epoch_start(self, trainer, module):
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if batch_idx + 1 == trainer.num_training_batches:
            self.seconds += time.perf_counter() - self.started


if __name__ == "__main__":
    handed = torch.load(sys.argv[1])
    bench = handed["arguments"]
    torch.manual_seed(bench["seed"])
    model = GPT2LMHeadModel(GPT2Config(**handed["config"]))
    model.load_state_dict(handed["state_dict"], strict=False)
    model.train()
    zeros = [0] * bench["max_seq_length"]
    features = [GenerationFeatures(input_ids=ids, attention_mask=mask, token_type_ids=zeros, labels=ids)
                for ids, mask in handed["features"].tolist()]
    with tempfile.TemporaryDirectory() as folder:
        args = GenerationTrainArguments(
            downstream_model_dir=folder, learning_rate=bench["learning_rate"], epochs=bench["epochs"],
            batch_size=bench["batch_size"], max_seq_length=bench["max_seq_length"])
        trainer = nlpbook.get_trainer(args)
        watch = Watch()
        trainer.callbacks.append(watch)
        loaders = [
            DataLoader(rows, batch_size=args.batch_size, sampler=RandomSampler(rows), collate_fn=nlpbook.data_collator)
            for rows in (features, features[:1])]
        trainer.fit(GenerationTask(model, args), loaders[0], loaders[1])
    torch.save({"seconds": watch.seconds, "state_dict": model.state_dict()}, sys.argv[2])
