import errno
import functools
import http.server
import os
import shutil
import socket

import numpy as np
import pytest
import torch
from helpers import MINI, http_server, write_corpus

from ratsnlp import nlpbook
from ratsnlp.nlpbook import LengthGroupedSampler, UserError, data_collator, fetch_corpus
from ratsnlp.nlpbook.generation import GenerationFeatures, GenerationTrainArguments


class Lengths:
    def __init__(self, lengths):
        self.lengths = lengths


def sampler(n=1003, batch_size=16, seed=7):
    lengths = np.random.default_rng(0).integers(1, 60, n)
    return LengthGroupedSampler(Lengths(lengths), GenerationTrainArguments(batch_size=batch_size, seed=seed)), lengths


def test_every_text_comes_once_an_epoch_with_its_like():
    grouped, lengths = sampler()
    order = list(grouped)
    assert sorted(order) == list(range(1003))
    assert len(grouped) == 1003
    spread = [np.ptp(lengths[order[start : start + 16]]) for start in range(0, 992, 16)]
    assert np.mean(spread) < 3
    assert max(spread) < 12
    means = [lengths[order[start : start + 16]].mean() for start in range(0, 992, 16)]
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.5  # short and long batches alternate at random


def test_the_order_depends_on_seed_and_epoch_alone():
    one, other = sampler()[0], sampler()[0]
    assert list(one) == list(other)
    other.set_epoch(1)
    assert list(one) != list(other)
    one.set_epoch(1)
    assert list(one) == list(other)
    assert list(one) != list(sampler(seed=8)[0])


def test_data_collator_stacks_features():
    rows = [GenerationFeatures([1, 2], [1, 0], [0, 0], [1, 2], 1, 5),
            GenerationFeatures([3, 4], [1, 1], [0, 0], [3, 4], 1, 6)]
    batch = data_collator(rows)
    assert batch["input_ids"].tolist() == [[1, 2], [3, 4]]
    assert batch["characters"].tolist() == [5, 6]
    assert batch["labels"].dtype == torch.int64
    assert "labels" not in data_collator([GenerationFeatures([1], [1])])


def test_files_in_place_are_used_without_a_network(tmp_path, monkeypatch):
    write_corpus(tmp_path, name="nsmc")
    before = (tmp_path / "nsmc" / "ratings_train.txt").read_bytes()
    monkeypatch.setattr(socket, "socket", None)
    fetch_corpus(GenerationTrainArguments(downstream_corpus_root_dir=str(tmp_path)))
    assert (tmp_path / "nsmc" / "ratings_train.txt").read_bytes() == before


def test_an_unknown_corpus_names_files_and_folder(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "ratings_train.txt").touch()
    with pytest.raises(UserError, match="'own'") as caught:
        fetch_corpus(GenerationTrainArguments(downstream_corpus_root_dir=str(tmp_path), downstream_corpus_name="own"))
    assert f"ratings_test.txt 파일을 {tmp_path / 'own'} 폴더에" in str(caught.value)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Korpora's addresses led to a local server of the bundled corpus."""
    from Korpora import korpus_nsmc

    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(MINI))
    with http_server(handler) as httpd:
        links = [{**link, "url": f"http://127.0.0.1:{httpd.server_port}/{link['destination'].split('/')[-1]}"}
                 for link in korpus_nsmc.NSMC_FETCH_INFORMATION]
        monkeypatch.setattr(korpus_nsmc, "NSMC_FETCH_INFORMATION", links)
        yield httpd


def test_missing_files_are_downloaded_and_others_left_alone(tmp_path, server):
    write_corpus(tmp_path, name="nsmc")
    own = (tmp_path / "nsmc" / "ratings_train.txt").read_bytes()
    (tmp_path / "nsmc" / "ratings_test.txt").unlink()
    args = GenerationTrainArguments(downstream_corpus_root_dir=str(tmp_path))
    fetch_corpus(args)
    assert (tmp_path / "nsmc" / "ratings_train.txt").read_bytes() == own
    assert (tmp_path / "nsmc" / "ratings_test.txt").read_bytes() == (MINI / "ratings_test.txt").read_bytes()
    args.force_download = True
    fetch_corpus(args)
    assert (tmp_path / "nsmc" / "ratings_train.txt").read_bytes() == (MINI / "ratings_train.txt").read_bytes()


def test_a_corpus_that_does_not_fit_on_the_disk_is_not_left_cut_off(tmp_path, server, monkeypatch):
    original = shutil.copyfile

    def copy_half(source, target):
        original(source, target)
        os.truncate(target, 1000)
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(shutil, "copyfile", copy_half)
    with pytest.raises(OSError, match="No space left"):
        fetch_corpus(GenerationTrainArguments(downstream_corpus_root_dir=str(tmp_path)))
    assert list((tmp_path / "nsmc").iterdir()) == []


def test_a_failed_download_says_what_to_do_and_leaves_nothing(tmp_path, server):
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match="내려받지 못했습니다.*ratings_train.txt, ratings_test.txt 파일을"):
        fetch_corpus(GenerationTrainArguments(downstream_corpus_root_dir=str(tmp_path)))
    assert not (tmp_path / "nsmc").exists()


def test_read_documents(tmp_path):
    file = tmp_path / "글.txt"
    file.write_bytes("\ufeff하나\r\n\r\n둘 \u2028 셋\n".encode())
    assert nlpbook.read_documents(file) == ["하나", "둘 \u2028 셋"]
    with pytest.raises(UserError, match="읽을 수 없습니다"):
        nlpbook.read_documents(tmp_path / "없음.txt")
    file.write_bytes("하나".encode("cp949"))
    with pytest.raises(UserError, match="UTF-8이 아닙니다"):
        nlpbook.read_documents(file)
