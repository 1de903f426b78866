"""What the engine gains: many questions, many videos, captions, experts, long videos, and the first answer.

    python benchmarks/engine.py [--rows questions,videos,...] [--minutes 120] [--before CHECKOUT] [--save FILE]

Each row is a ratio of two ways to do the same work, taken in turns in one run: CPU seconds of the process on a CPU,
seconds on a GPU. The block-masked row of all questions that the model used before stays here, as what it is compared
with. ``--before``: a checkout whose time to the first answer is the baseline of that row.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from shapes import build, loc_id, prefix_ids, synchronise, video, words
from videoexpert.assets import SHIPPED_VIDEO
from videoexpert.backends.expert import Expert
from videoexpert.engine import Engine, Opened
from videoexpert.engine.decode import decode
from videoexpert.grounding.decoding import decode_moments
from videoexpert.language.experts import expert_layers, token_roles
from videoexpert.language.passes import Prefix
from videoexpert.language.sequence import Segment, block_causal_mask, build_sequence, pad_rows
from videoexpert.model import VideoExpertModel
from videoexpert.runtime import hardware, pick_device
from videoexpert.session import load_expert
from videoexpert.synthetic.world import Event, Script, sample_script
from videoexpert.types import VisualTokens

THINGS = (
    *("the red circle", "the blue square", "a green triangle", "the yellow square", "the purple cross"),
    *("the blue circle", "the red square", "a yellow triangle", "the green square", "the red cross"),
    *("the green circle", "the purple square", "a red triangle", "the blue cross", "the yellow circle"),
)
DOINGS = ("moves left", "moves right", "goes up", "goes down", "grows", "gets smaller", "appears", "vanishes")
TOKENS_PER_PASS = 2048  # of the block-masked row
SIZE = 64  # pixels a side of the planted video
EVENT_S = 3.0
STEPS = 16  # of decoding in one measurement
NO_END = -1

Work = Callable[[], object]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default=",".join(ROWS), help="some of " + ", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=5, help="medians are shown")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--videos", type=int, default=100)
    parser.add_argument("--captions", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=120.0, help="of the planted video")
    parser.add_argument("--size", default="auto", help="shapes of the experts row, with commas between")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--before", type=Path, default=None)
    parser.add_argument("--save", type=Path, default=None)
    parser.add_argument("--child", type=Path, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child is not None:
        print(json.dumps(find_planted(args.child)))
        return 0
    device = pick_device(args.device)
    report: dict[str, Any] = {
        **hardware(device),
        "measured": "seconds" if device.type == "cuda" else "CPU seconds",
    }
    for name in args.rows.split(","):
        report[name] = ROWS[name](args, device)
        print(json.dumps({name: report[name]}, indent=1), flush=True)
    if args.save:
        args.save.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(args.save.read_text()) if args.save.exists() else {}
        args.save.write_text(json.dumps({**known, **report}, indent=1) + "\n")
    return 0


def in_turns(device: torch.device, rounds: int, *works: Work) -> list[float]:
    """Median seconds of each, taken in turns; the first round warms up."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    taken: list[list[float]] = [[] for _ in works]
    for number in range(rounds + 1):
        for work, own in zip(works, taken, strict=True):
            synchronise(device)
            began = clock()
            work()
            synchronise(device)
            if number:
                own.append(clock() - began)
    return [statistics.median(own) for own in taken]


def ratio_row(slow: float, fast: float, target: str, **more: Any) -> dict[str, Any]:
    return {"baseline s": round(slow, 4), "engine s": round(fast, 4), **more, "target": target}


def queries_of(count: int) -> list[str]:
    """Up to 120 different sentences."""
    return [f"{THINGS[i % 5 + i // 40 % 3 * 5]} {DOINGS[i // 5 % 8]}" for i in range(count)]


def questions(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Many questions on one open video: against an answer generated from scratch, and against one masked row."""
    expert = load_expert(device=str(device))
    opened, asked = expert.open(SHIPPED_VIDEO), queries_of(args.queries)
    few = asked[: max(1, args.queries // 10)]  # from scratch is slow, and each question costs the same

    def from_scratch() -> None:
        for query in few:
            generate_and_read(expert, opened.tokens, query)

    scratch, packed, ours = in_turns(
        device,
        args.rounds,
        from_scratch,
        lambda: block_masked(expert, opened.tokens, asked),
        lambda: opened.ground(asked),
    )
    scratch *= len(asked) / len(few)
    return {
        "queries": len(asked),
        "against generating each from scratch": ratio_row(
            scratch, ours, ">= 30", times=round(scratch / ours, 1)
        ),
        "against one block-masked row": ratio_row(packed, ours, "<= 0.4", share=round(ours / packed, 3)),
        "by arithmetic at the 7B shape": {"times": round(arithmetic(), 1), "target": ">= 100"},
    }


def generate_and_read(expert: Expert, tokens: VisualTokens, query: str) -> None:
    """One question as without anything kept: the whole prompt, every token of the answer, then its ``<LOC>``."""
    model, prompter = expert.model, expert.prompter
    whole = prompter.grounding(query)
    answer = sum(label != -100 for label in whole.labels)
    asked = Segment(whole.ids[: len(whole.ids) - answer])
    prefix = model.open_prefix(tokens, prompter.prefix_ids)
    decode(model, [prefix], [1], [asked], eos_token_id=NO_END, max_new_tokens=answer)
    model.moments(model.locate(prefix, [whole]), [tokens.stretch], top_k=5)


@torch.no_grad()
def block_masked(expert: Expert, tokens: VisualTokens, queries: Sequence[str]) -> None:
    """All questions in rows of one, each hidden from the others by a mask; prompts and moments one by one."""
    model, prompter = expert.model, expert.prompter
    (prefix,) = expert.engine.prefixes([expert.open_tokens(tokens).opened])
    segments = [prompter.grounding(query) for query in queries]
    passes: list[list[Segment]] = [[]]
    for segment in segments:
        if passes[-1] and sum(len(s.ids) for s in passes[-1]) + len(segment.ids) > TOKENS_PER_PASS:
            passes.append([])
        passes[-1].append(segment)
    centres = model.centres(len(tokens.temporal)).cpu()
    for part in passes:
        states = masked_states(model, prefix, part)
        starts = torch.tensor([0, *[len(s.ids) for s in part]]).cumsum(0)[:-1].tolist()
        places = [a + p for a, s in zip(starts, part, strict=True) for p in s.loc_positions]
        head = model.predict([prefix], states[torch.tensor(places) - model.loc_shift], [len(places)])
        for prob, offsets in zip(head.indicator.cpu(), head.offsets.cpu(), strict=True):
            decode_moments(prob, offsets, centres, tokens.duration_s, nms_iou=model.config.nms_iou, top_k=5)


def masked_states(model: VideoExpertModel, prefix: Prefix, part: Sequence[Segment]) -> torch.Tensor:
    row = build_sequence([[]], [part], num_frames=0, num_spatial_tokens=0).to(model.device)
    allowed = block_causal_mask(row.segments, past=prefix.length)
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
        cache.update(keys[None, :, : prefix.length], values[None, :, : prefix.length], layer)
    embeds = model.language.get_input_embeddings()(row.input_ids)
    mask = torch.zeros(allowed.shape, dtype=embeds.dtype, device=embeds.device)
    mask.masked_fill_(~allowed, torch.finfo(embeds.dtype).min)
    with token_roles(None):
        states: torch.Tensor = model.language.base_model(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=row.position_ids + prefix.length,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[0]
    return states


def arithmetic(queries: int = 100, prefix: int = 398, suffix: int = 20, answer: int = 8) -> float:
    """Times faster at Vicuna-7B's shape in bfloat16 on an H100, by its data sheet alone.

    A pass takes as long as its products or as reading the weights, whichever is longer. From scratch each query takes
    a pass over its whole prompt and one for each token of its answer; here all suffixes are one pass.
    """
    weights, flops, reads = 6.7e9, 989e12, 3.35e12

    def seconds(tokens: int) -> float:
        return max(2 * weights * tokens / flops, 2 * weights / reads)

    scratch = queries * (seconds(prefix + suffix) + answer * seconds(1))
    return scratch / seconds(queries * suffix)


def videos(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Many videos with five questions each, from tokens: in shared passes, and one video at a time."""
    expert = load_expert(device=str(device))
    shown, asked = tokens_like(expert, args.videos), queries_of(5)

    def each() -> None:
        for tokens in shown:
            expert.engine.store.clear()
            expert.open_tokens(tokens).ground(asked)

    def together() -> None:
        expert.engine.store.clear()
        expert.ground_many([expert.open_tokens(tokens) for tokens in shown], asked)

    alone, ours = in_turns(device, args.rounds, each, together)
    target = ">= 2 on two CPU cores, >= 8 on a GPU"
    return {"videos": len(shown), **ratio_row(alone, ours, target, times=round(alone / ours, 2))}


def captions(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Captions of many videos: written side by side, and one video after the other."""
    expert = load_expert(device=str(device))
    opened = [expert.open_tokens(tokens) for tokens in tokens_like(expert, args.captions)]
    expert.engine.prefixes([video.opened for video in opened])
    alone, ours = in_turns(
        device,
        max(1, args.rounds // 2),
        lambda: [video.caption(64) for video in opened],
        lambda: expert.caption_many(opened, 64),
    )
    target = ">= 3 on a CPU, >= 10 on a GPU"
    return {"videos": len(opened), **ratio_row(alone, ours, target, times=round(alone / ours, 2))}


def tokens_like(expert: Expert, count: int) -> list[VisualTokens]:
    """Tokens of as many videos, each the shipped one's with noise of its own."""
    base, rng = expert.open(SHIPPED_VIDEO).tokens, torch.Generator().manual_seed(1)

    def noisy(tensor: torch.Tensor) -> torch.Tensor:
        return tensor + 0.1 * tensor.std() * torch.randn(tensor.shape, generator=rng).to(tensor)

    return [replace(base, temporal=noisy(base.temporal), spatial=noisy(base.spatial)) for _ in range(count)]


def experts(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """A decoding step and a prefill with folded experts, against the same model with its base layers alone."""
    if args.size == "auto":
        sizes = ["vicuna-7b"] if device.type == "cuda" else ["small", "wide", "vicuna-layers"]
    else:
        sizes = args.size.split(",")
    return {size: experts_at(size, args.rounds, device) for size in sizes}


def experts_at(size: str, rounds: int, device: torch.device) -> dict[str, Any]:
    model = build(size, device, torch.bfloat16 if device.type == "cuda" else torch.float32).eval().fold()
    tokens, before = video(model), prefix_ids(model)
    prefix = model.open_prefix(tokens, before)
    first = pad_rows([words(model, random.Random(1), 1)]).to(device)

    def step() -> None:
        current = model.row_pass([prefix], [1], room=64)
        for _ in range(STEPS):
            model.read_rows(current, first)
            current.advance(torch.ones(1, dtype=torch.long, device=device))

    def prefill() -> None:
        model.open_prefix(tokens, before)

    layers = [(name, layer) for name, layer in expert_layers(model.language)]

    def without(work: Work) -> Work:
        def plain() -> None:
            swap(model, [(name, layer.base) for name, layer in layers])
            work()
            swap(model, layers)

        return plain

    found = in_turns(device, max(11, rounds), without(step), step, without(prefill), prefill)
    return {
        "decode step": {"of the base": round(found[1] / found[0], 3), "target": "<= 1.02"},
        "prefill": {"of the base": round(found[3] / found[2], 3), "target": "<= 1.10"},
        "share of the bandwidth roofline": "needs a GPU"
        if device.type != "cuda"
        else roofline(model, found[1] / STEPS),
    }


def kernels(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """FlexAttention against the plain kernel on many questions, and steps replayed from graphs against steps."""
    size = ("vicuna-7b" if device.type == "cuda" else "small") if args.size == "auto" else args.size
    model = build(size, device, torch.bfloat16 if device.type == "cuda" else torch.float32).eval().fold()
    before, shown, draw = prefix_ids(model), Opened(video(model)), random.Random(2)
    asked = [
        Segment(tuple([*words(model, draw, 18), loc_id(model)]), loc_positions=(18,))
        for _ in range(args.queries)
    ]
    plain = Engine(model, before)
    flex = Engine(model, before, kernel="flex", store=plain.store)
    found = in_turns(
        device,
        args.rounds,
        lambda: plain.locate([shown], [asked]),
        lambda: flex.locate([shown], [asked]),
    )
    row: dict[str, Any] = {
        "size": size,
        "queries": len(asked),
        "flex of plain": round(found[1] / found[0], 3),
    }
    if device.type != "cuda":
        return {**row, "graphs of steps": "needs a GPU"}
    graphs = Engine(model, before, graphs=True, store=plain.store)
    few = [Segment(segment.ids[:-1]) for segment in asked[:8]]
    found = in_turns(
        device,
        args.rounds,
        *(
            partial(e.generate, [shown], [few], eos_token_id=NO_END, max_new_tokens=64)
            for e in (plain, graphs)
        ),
    )
    return {**row, "graphs of steps": round(found[1] / found[0], 3)}


def swap(model: VideoExpertModel, layers: Sequence[tuple[str, torch.nn.Module]]) -> None:
    for name, layer in layers:
        parent, _, child = name.rpartition(".")
        setattr(model.language.get_submodule(parent), child, layer)


def roofline(model: VideoExpertModel, step_s: float) -> float:
    """Bytes of the base weights a step reads, by the H100's 3.35 TB/s or the H200's 4.8, over the time it takes."""
    read = sum(p.numel() * p.element_size() for n, p in model.language.named_parameters() if "lora_" not in n)
    speed = 4.8e12 if "H200" in torch.cuda.get_device_name() else 3.35e12
    return round(read / speed / step_s, 3)


def planted(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """An event of three seconds in a long video: found, with the memory that five minutes take."""
    with tempfile.TemporaryDirectory() as folder:
        rows = {}
        for minutes in (5.0, args.minutes):
            file = Path(folder) / f"{minutes:g}.mp4"
            truth = write_planted(file, minutes * 60)
            command = [sys.executable, __file__, "--child", str(file)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            rows[minutes] = {**found, "planted": [round(edge, 2) for edge in truth]}
            rows[minutes]["IoU"] = round(overlap(found["best"], truth), 3)
    short, long = rows[5.0], rows[args.minutes]
    return {
        "minutes": args.minutes,
        **long,
        "memory of five minutes": round(long["peak MiB"] / short["peak MiB"], 3),
        "target": "IoU >= 0.5, memory <= 1.3, decoded once",
    }


def overlap(best: Sequence[float], truth: Sequence[float]) -> float:
    both = max(0.0, min(best[1], truth[1]) - max(best[0], truth[0]))
    return both / ((best[1] - best[0]) + (truth[1] - truth[0]) - both)


def write_planted(file: Path, duration_s: float) -> tuple[float, float]:
    """A video in which one thing moves left once, a third of the way in, and nothing else happens."""
    from videoexpert.synthetic.write import write_script

    quiet = replace(sample_script(random.Random(3), 1), events=(), duration=duration_s)
    first = replace(quiet.objects[0], colour="red", shape="circle", x=0.75, y=0.4, visible=True)
    start = duration_s / 3 + 1.7
    event = Event(0, "left", start, start + EVENT_S, 0.45)
    other = replace(quiet.objects[1], colour="blue", shape="square", x=0.3, y=0.75, visible=True)
    script = Script("planted", duration_s, (first, other), (event,), quiet.background, 1)
    write_script(script, file, SIZE)
    return event.start, event.end


def find_planted(file: Path) -> dict[str, Any]:
    """In a process of its own: the best moment, peak memory, and how much of the file was decoded."""
    from videoexpert.video import pictures
    from videoexpert.video.glance import glance

    decoded = [0]
    whole = pictures.decode_quickly

    def counted(*given: Any, **options: Any) -> Any:
        for item in whole(*given, **options):
            decoded[0] += 1
            yield item

    expert = load_expert(device="cpu")
    for module in list(sys.modules.values()):  # whichever of them decodes
        if getattr(module, "decode_quickly", None) is whole:
            module.decode_quickly = counted
    began = time.process_time()
    shown = expert.open_long(file)
    opened = time.process_time() - began
    found: Any = shown.ground("the red circle moves left")
    frames = glance(file).frame_count
    if not decoded[0]:
        raise RuntimeError("no picture was counted: the decoder of long videos has another name")
    return {
        "best": [round(found[0].start, 2), round(found[0].end, 2)],
        "score": round(found[0].score, 3),
        "looked at": getattr(shown, "looked_at", None),
        "open CPU s": round(opened, 1),
        "ask CPU s": round(time.process_time() - began - opened, 1),
        "times decoded": round(decoded[0] / frames, 3),
        "peak MiB": round(own_peak_mib()),
    }


def own_peak_mib() -> float:
    """Most memory that this process held. Linux's ``ru_maxrss`` would count what its parent held before."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def first_answer(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """From the command to its answer, all of the process; against the code of another checkout."""
    here = Path(__file__).resolve().parent.parent
    if args.before is None:
        return {"skipped": "--before names the checkout to compare with", "target": "<= 0.6"}
    taken: dict[Path, list[float]] = {args.before: [], here: []}
    for _ in range(max(3, args.rounds)):
        for root, own in taken.items():
            own.append(
                children_s(["-m", "videoexpert.apps.cli", "ground", str(SHIPPED_VIDEO), "it grows"], root)
            )
    before, ours = (statistics.median(own) for own in taken.values())
    return ratio_row(before, ours, "<= 0.6", share=round(ours / before, 3))


def children_s(arguments: Sequence[str], root: Path) -> float:
    """CPU seconds of a Python process on the package of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "OMP_WAIT_POLICY": "PASSIVE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


ROWS: dict[str, Callable[[argparse.Namespace, torch.device], dict[str, Any]]] = {
    "questions": questions,
    "videos": videos,
    "captions": captions,
    "experts": experts,
    "kernels": kernels,
    "planted": planted,
    "first_answer": first_answer,
}


if __name__ == "__main__":
    raise SystemExit(main())
