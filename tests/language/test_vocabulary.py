"""The <LOC> rows: what they change, what they leave alone, and that transformers goes on working."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from videoexpert.errors import InputError
from videoexpert.language.vocabulary import LocEmbedding, LocOutput, add_loc_token, install_loc

FAMILIES = [LlamaConfig, Qwen3Config, MistralConfig]
V, D = 50, 16


def language_model(config_class: type = LlamaConfig, **fields: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {
        "vocab_size": V,
        "hidden_size": D,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 4,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    return AutoModelForCausalLM.from_config(config_class(**{**sizes, **fields})).eval()


@pytest.mark.parametrize("config_class", FAMILIES)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("loc_id", [V, V - 3])
def test_two_rows_train_and_the_other_words_are_untouched(
    config_class: type, tied: bool, loc_id: int
) -> None:
    model = language_model(config_class, tie_word_embeddings=tied)
    ids = torch.tensor([[3, 4, 5]])
    base = model.get_input_embeddings().weight.detach().clone()
    with torch.no_grad():
        before = model(ids).logits
    install_loc(model, loc_id)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad and "loc_row" in name}
    assert sorted(trained) == ["lm_head.loc_row", "model.embed_tokens.loc_row"]
    assert all(p.shape == (1, D) and p.dtype == torch.float32 for p in trained.values())
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    assert isinstance(embedding, LocEmbedding)
    assert isinstance(output, LocOutput)
    assert not embedding.base.weight.requires_grad
    assert not output.base.weight.requires_grad
    torch.testing.assert_close(embedding.loc_row[0], base.mean(0))
    torch.testing.assert_close(output.loc_row[0], output.base.weight.mean(0))
    assert (embedding.base.weight is output.base.weight) == tied
    assert torch.equal(embedding.base.weight, base)
    assert model.config.vocab_size == max(V, loc_id + 1)
    with torch.no_grad():
        after = model(ids).logits
    assert after.shape[-1] == model.config.vocab_size
    others = [word for word in range(V) if word != loc_id]
    assert torch.equal(after[..., others], before[..., others])


@pytest.mark.parametrize("loc_id", [V, V - 3])
def test_the_row_is_read_and_scored(loc_id: int) -> None:
    model = language_model()
    install_loc(model, loc_id)
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    with torch.no_grad():
        embedding.loc_row.copy_(torch.arange(D, dtype=torch.float32))
        output.loc_row.fill_(2.0)
    rows = embedding(torch.tensor([[loc_id, 0, loc_id]]))
    assert rows[0, 0].tolist() == rows[0, 2].tolist() == list(range(D))
    assert torch.equal(rows[0, 1], embedding.base.weight[0])
    logits = output(torch.ones(1, 1, D))
    assert logits[0, 0, loc_id].item() == 2.0 * D
    torch.testing.assert_close(logits[0, 0, 0], output.base.weight[0].sum())


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("train", ["loc", "all"])
def test_train_vocabulary_decides_whether_the_base_matrices_train(tied: bool, train: str) -> None:
    model = language_model(tie_word_embeddings=tied)
    install_loc(model, V, train_vocabulary=train)
    ids = torch.tensor([[3, V, 5]])
    model(ids, labels=ids).loss.backward()
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    for module in (embedding, output):
        assert (module.base.weight.grad is not None) == (train == "all")
        assert module.loc_row.grad.abs().max() > 0


def test_looking_loc_up_teaches_no_other_word() -> None:
    embedding = LocEmbedding(nn.Embedding(V, D), V)
    embedding(torch.tensor([[3, V, 5, V]])).sum().backward()
    assert embedding.base.weight.grad.abs().amax(-1).nonzero().flatten().tolist() == [3, 5]
    assert embedding.loc_row.grad.flatten().tolist() == [2.0] * D


@pytest.mark.parametrize("config_class", FAMILIES)
@pytest.mark.parametrize("loc_id", [V, V - 3])
def test_generate_can_say_loc_and_read_it_back(config_class: type, loc_id: int) -> None:
    model = language_model(config_class)
    install_loc(model, loc_id)
    prompt = torch.tensor([[3, 4, loc_id]])
    with torch.no_grad():
        greedy = model.generate(prompt, max_new_tokens=4, min_new_tokens=4, do_sample=False)
        whole = model(greedy[:, :-1]).logits.argmax(-1)
        assert torch.equal(greedy[:, 3:], whole[:, 2:])  # cached steps equal one pass
        state = model.model(prompt).last_hidden_state[0, -1]
        model.get_output_embeddings().loc_row.copy_(1000.0 * state)
        said = model.generate(prompt, max_new_tokens=1, do_sample=False)
    assert said[0, 3].item() == loc_id


def test_tied_matrices_stay_tied_when_transformers_ties_again() -> None:
    model = language_model(tie_word_embeddings=True)
    install_loc(model, V)
    model.tie_weights()
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    assert output.base.weight is embedding.base.weight
    assert output.loc_row is not embedding.loc_row


def test_a_bfloat16_base_gives_bfloat16() -> None:
    model = language_model().bfloat16()
    install_loc(model, V)
    logits = model(torch.tensor([[3, V]])).logits
    assert logits.dtype == torch.bfloat16
    assert model.get_input_embeddings().loc_row.dtype == torch.float32


def test_an_id_without_a_place_and_a_second_install_are_refused() -> None:
    for wrong in (-1, V + 1):
        with pytest.raises(InputError, match=f"the id of <LOC> is {wrong}, expected 0 to the 50 words"):
            install_loc(language_model(), wrong)
    model = language_model()
    install_loc(model, V)
    with pytest.raises(InputError, match="already has <LOC> as id 50"):
        install_loc(model, V)


def test_the_loc_token_is_an_ordinary_added_token() -> None:
    words = models.WordLevel({"<unk>": 0, "From": 1, ".": 2}, unk_token="<unk>")
    backend = Tokenizer(words)
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    assert add_loc_token(tokenizer, "[LOC]") == 3
    assert add_loc_token(tokenizer, "[LOC]") == 3
    assert len(tokenizer) == 4
    assert tokenizer("From [LOC].").input_ids == [1, 3, 2]
    assert tokenizer("From[LOC].").input_ids == [1, 3, 2]
    assert "[LOC]" in tokenizer.decode([1, 3, 2], skip_special_tokens=True)
    with pytest.raises(InputError, match="visible word"):
        add_loc_token(tokenizer, " ")
