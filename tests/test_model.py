"""Equivalences of the model's routes, what trains, and that config and weights alone rebuild it."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig

from videoexpert.engine.decode import decode
from videoexpert.language.sequence import Segment, build_sequence
from videoexpert.model import VideoExpertModel
from videoexpert.testing import LOC, batch_tensors, segment, tiny_config, tiny_model
from videoexpert.types import Frames, TokenRole, VisualTokens

PREFIX = [1, 5, 9]
QUESTIONS = [
    segment([7, 8, 2, 11, LOC, 3], 3),
    segment([7, 30, 12, LOC, 14, LOC, 3], 2),
    segment([7, 8, 40, 41], 2),
]


@pytest.fixture(params=["paper", "released"])
def model(request: pytest.FixtureRequest) -> VideoExpertModel:
    return tiny_model(request.param)


def video(model: VideoExpertModel, seed: int = 3) -> VisualTokens:
    rng = torch.Generator().manual_seed(seed)
    config = model.config
    temporal = torch.randn(config.num_frames, config.vision_width, generator=rng)
    spatial = torch.randn(config.num_spatial_tokens, config.vision_width, generator=rng)
    return VisualTokens(temporal, spatial, duration_s=10.0)


def layout(model: VideoExpertModel, prefixes, questions):
    return build_sequence(
        prefixes,
        questions,
        num_frames=model.config.num_frames,
        num_spatial_tokens=model.config.num_spatial_tokens,
    )


def head_of(model, videos, questions):
    row = layout(model, [PREFIX] * len(questions), questions)
    tensors = batch_tensors(
        row, torch.stack([v.temporal for v in videos]), torch.stack([v.spatial for v in videos])
    )
    return row, model(**tensors, return_states=True)


def test_packed_equals_single(model):
    shown = video(model)
    row, packed = head_of(model, [shown], [QUESTIONS])
    alone = [head_of(model, [shown], [[q]])[1] for q in QUESTIONS]
    singles = torch.cat([a.indicator_logits for a in alone if a.indicator_logits is not None])
    assert packed.indicator_logits.shape == (3, model.config.num_frames)
    torch.testing.assert_close(packed.indicator_logits, singles, atol=1e-5, rtol=1e-5)
    prefix = int((row.segments == 0).sum())
    start = prefix
    for question, single in zip(QUESTIONS, alone, strict=True):
        own = packed.states[0, start : start + len(question.ids)]
        torch.testing.assert_close(own, single.states[0, prefix:], atol=1e-5, rtol=1e-5)
        start += len(question.ids)
    # the packed loss is the mean over all supervised tokens, so it is the token-weighted mean of the single ones
    counts = torch.tensor([float(sum(label != -100 for label in q.labels)) for q in QUESTIONS])
    mean = (torch.stack([a.text_loss for a in alone]) * counts).sum() / counts.sum()
    torch.testing.assert_close(packed.text_loss, mean, atol=1e-5, rtol=1e-5)


def test_cached_equals_uncached_and_training_equals_use(model):
    shown = video(model)
    _, trained = head_of(model, [shown], [QUESTIONS])
    used = model.locate(model.open_prefix(shown, PREFIX), QUESTIONS)
    torch.testing.assert_close(used.indicator_logits, trained.indicator_logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(used.boundary_logits, trained.boundary_logits, atol=1e-5, rtol=1e-5)


def test_prefix_survives_queries(model):
    prefix = model.open_prefix(video(model), PREFIX)
    first = model.locate(prefix, QUESTIONS).indicator_logits
    decode(model, [prefix], [1], [Segment((7, 8))], eos_token_id=2, max_new_tokens=4)
    assert torch.equal(model.locate(prefix, QUESTIONS).indicator_logits, first)


def test_folded_equals_unfolded(model):
    shown = video(model)
    before = model.locate(model.open_prefix(shown, PREFIX), QUESTIONS).indicator_logits
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    model.fold()
    after = model.locate(model.open_prefix(shown, PREFIX), QUESTIONS).indicator_logits
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    model.unfold()
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())


def test_rows_of_a_batch_do_not_mix(model):
    videos = [video(model, 3), video(model, 4)]
    _, both = head_of(model, videos, [QUESTIONS[:2], QUESTIONS[2:]])
    _, first = head_of(model, videos[:1], [QUESTIONS[:2]])
    torch.testing.assert_close(both.indicator_logits, first.indicator_logits, atol=1e-5, rtol=1e-5)


def test_temporal_states_do_not_depend_on_the_question(model):
    shown = video(model)
    row, one = head_of(model, [shown], [[QUESTIONS[0]]])
    _, other = head_of(model, [shown], [[QUESTIONS[2]]])
    frames = (row.roles == TokenRole.TEMPORAL)[0]
    torch.testing.assert_close(
        one.states[0][frames], other.states[0, : len(frames)][frames[: other.states.shape[1]]]
    )


def test_loc_state_follows_the_preset():
    shown = video(tiny_model("paper"))
    by_preset = {}
    for preset in ("paper", "released"):
        model = tiny_model(preset)
        changed = segment([7, 8, 2, 11, LOC, 3], 3)
        replaced = Segment((7, 8, 2, 12, LOC, 3), (), (4,))  # another token just before <LOC>
        prefix = model.open_prefix(shown, PREFIX)
        states = model.read_segments(prefix, [changed])
        expected = states[3 if preset == "released" else 4]
        head = model.head.predict(prefix.projected_frames[None], model.head.project(expected[None]))
        torch.testing.assert_close(model.locate(prefix, [changed]).indicator_logits, head.indicator_logits)
        by_preset[preset] = model.locate(prefix, [replaced]).indicator_logits
    assert not torch.allclose(by_preset["paper"], by_preset["released"])


def test_exactly_the_papers_parts_train():
    model = tiny_model("paper")
    trains = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trains == set(model.trained_names())
    # by hand: two blocks of q, o (32x32), k, v (32x16), gate, up (32x48), down (48x32), joint rank 5
    block = 5 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 48))
    adapter = 24 * 32 + 32
    head = (32 * 32 + 32) + (32 * 16 + 16) + 2 * 2 * (16 * 16 * 3 + 16) + (16 * 3 + 1) + (2 * 16 * 3 + 2)
    assert (
        sum(p.numel() for p in model.parameters() if p.requires_grad) == 2 * block + 2 * 32 + adapter + head
    )


def test_released_preset_trains_the_vocabulary_too():
    model = tiny_model("released")
    extra = set(model.trained_names()) - set(tiny_model("paper").trained_names())
    assert sorted(extra) == ["language.lm_head.base.weight", "language.model.embed_tokens.base.weight"]
    assert {n for n, p in model.named_parameters() if p.requires_grad} == set(model.trained_names())


def test_loss_is_the_weighted_sum_and_reaches_every_trained_part(model):
    model.train()
    row = layout(model, [PREFIX], [QUESTIONS])
    shown = video(model)
    n = model.config.num_frames
    foreground = torch.zeros(3, n, dtype=torch.bool)
    foreground[:, 1:3] = True
    out = model(
        **batch_tensors(row, shown.temporal[None], shown.spatial[None]),
        foreground=foreground,
        spans=torch.tensor([0.2, 0.6]).expand(3, n, 2),
    )
    config = model.config
    by_hand = (
        config.text_weight * out.text_loss
        + 2.0 * out.indicator_loss
        + 5.0 * out.l1_loss
        + 2.0 * out.giou_loss
    )
    torch.testing.assert_close(out.loss, by_hand)
    out.loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
        else:
            assert parameter.grad is None, name


@pytest.mark.parametrize("tokens", ["compress", "random", "none"])
def test_encode_video_gives_the_tokens_the_config_promises(tokens):
    model = tiny_model("paper", spatial_tokens=tokens)
    pixels = torch.randint(0, 255, (6, 3, 40, 32), dtype=torch.uint8)
    shown = model.encode_video(Frames(pixels, torch.arange(6.0), 6.0))
    assert shown.temporal.shape == (6, 24)
    assert shown.spatial.shape == (0 if tokens == "none" else 6, 24)
    assert model.open_prefix(shown, PREFIX).length == len(PREFIX) + model.config.num_visual_tokens


def test_temporal_differences_see_motion_that_the_plain_adapter_cannot():
    plain, moving = tiny_model("paper"), tiny_model("paper", temporal_differences=[-1, 1])
    assert plain.adapter.motion is None
    assert moving.adapter.motion.weight.shape == (32, 48)
    still = torch.randn(1, 1, 24).expand(1, 6, 24)
    frames, _ = moving.adapter(still, still[:, :0])
    torch.testing.assert_close(frames, moving.adapter.linear(still))
    shown = torch.randn(1, 6, 24)
    assert not torch.allclose(moving.adapter(shown, still[:, :0])[0], moving.adapter.linear(shown))


def test_full_size_on_the_meta_device():
    """CLIP ViT-L/14 and a Vicuna-7B-shaped Llama: 356 visual tokens and the paper's trainable count, by hand."""
    llama = LlamaConfig(
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        vocab_size=32000,
    )
    clip = {
        "model_type": "clip_vision_model",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "projection_dim": 768,
    }
    config = tiny_config(
        vision_config=clip,
        language_config=llama.to_dict(),
        loc_token_id=32000,
        num_frames=100,
        groups=4,
        tokens_per_group=64,
        key_tokens=28,
        temporal_rank=32,
        spatial_rank=32,
        lora_alpha=64.0,
        head_width=512,
    )
    with torch.device("meta"):
        model = VideoExpertModel(config)
    assert config.num_visual_tokens == 356
    experts = 32 * 64 * (4 * (4096 + 4096) + 3 * (4096 + 11008))
    assert experts == 159_907_840  # 896 matrices of the released checkpoint: 32 blocks x 7 layers x 4
    loc = 2 * 4096
    adapter = 768 * 4096 + 4096
    branch = 2 * (512 * 512 * 3 + 512)
    head = (4096 * 4096 + 4096) + (4096 * 512 + 512) + 2 * branch + (512 * 3 + 1) + (2 * 512 * 3 + 2)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == experts + loc + adapter + head
