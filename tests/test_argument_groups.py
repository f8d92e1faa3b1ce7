"""Groups of arguments: declared once, shared by mixins, and headings of ``--help``."""

import re
import sys
from dataclasses import fields

import pytest

from ratsnlp import nlpbook
from ratsnlp.nlpbook.argument_groups import (
    CheckpointArguments,
    CorpusArguments,
    DeviceArguments,
    ExperimentArguments,
    LoggingArguments,
    ModelArguments,
    OptimizerArguments,
    SeedArguments,
)
from ratsnlp.nlpbook.generation import (
    GenerationEvalArguments,
    GenerationInferArguments,
    GenerationTextArguments,
    GenerationTrainArguments,
)

GROUPS = [
    CheckpointArguments, CorpusArguments, DeviceArguments, ExperimentArguments, LoggingArguments, ModelArguments,
    OptimizerArguments, SeedArguments,
]


@pytest.mark.parametrize("argument_class", [
    GenerationTrainArguments, GenerationTextArguments, GenerationInferArguments, GenerationEvalArguments])
def test_a_shared_field_means_the_same_everywhere(argument_class):
    """Its default may differ from script to script, and its help may say more; its bounds are the group's."""
    shared = {spec.name: spec for group in GROUPS for spec in fields(group)}
    bounds = ("minimum", "maximum", "above", "choices", "path")
    found = [spec for spec in fields(argument_class) if spec.name in shared]
    assert found
    for spec in found:
        group = shared[spec.name]
        assert [spec.metadata.get(name) for name in bounds] == [group.metadata.get(name) for name in bounds], spec.name


def help_of(monkeypatch, capsys, argument_class, **defaults) -> str:
    monkeypatch.setattr(sys, "argv", ["script.py", "--help"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(SystemExit):
        nlpbook.load_arguments(argument_class, **defaults)
    return capsys.readouterr().out


def test_help_has_a_korean_heading_over_each_group(monkeypatch, capsys):
    text = help_of(monkeypatch, capsys, GenerationTrainArguments)
    headings = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert headings == ["모델", "학습", "데이터", "체크포인트", "장치", "옵티마이저", "기록", "LoRA", "여러 장치",
                        "실험", "도움말"]
    optimizer = text[text.index("옵티마이저:") : text.index("기록:")]
    names = re.findall(r"^  --(\w+)", optimizer, re.MULTILINE)
    assert names == [spec.name for spec in fields(OptimizerArguments)]


def test_a_value_that_has_to_follow_stands_without_brackets(monkeypatch, capsys):
    text = help_of(monkeypatch, capsys, GenerationTrainArguments)
    assert "--epochs 값 " in text
    assert "--resume [값] " in text  # --resume and --resume true are the same
    assert "(기본값: 3)" in text


def test_a_default_is_shown_as_one_would_type_it(monkeypatch, capsys):
    from bench.arguments import BenchArguments

    assert "(기본값: false)" in help_of(monkeypatch, capsys, GenerationTrainArguments)
    for clients in (("2", "8"), ["2", "8"]):  # a script's, a settings file's
        assert "(기본값: 2 8)" in help_of(monkeypatch, capsys, BenchArguments, clients=clients)


def test_a_home_is_written_out(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    args = GenerationTrainArguments(downstream_model_dir="~/모델", downstream_corpus_root_dir="~/말뭉치")
    assert args.downstream_model_dir == str(tmp_path / "모델")
    assert args.downstream_corpus_root_dir == str(tmp_path / "말뭉치")
