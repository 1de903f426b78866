"""Every sample answered once: groups of videos asked together, shared by processes, resumed where a run stopped.

Which videos form a group depends on the samples alone. A group is answered whole or again, so that a resumed run, and
one that several processes share, end with the bytes of a run in one go.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from .. import files
from ..annotations.samples import Sample
from ..cluster import Cluster, Lost, spread
from ..errors import DataError, InputError, ServerError, VideoError, VideoExpertError, sentence
from ..runtime import rank_of_process
from .systems import Row, System

Group = list[tuple[str, list[Sample]]]  # ids of videos that are asked together, and what is asked about each
Answered = list[list[Row] | VideoExpertError]
Opening = Mapping[tuple[Path, Any], "Future[Any]"]  # by path and clip: what ``try_open`` gives of a video
T = TypeVar("T")
OPENERS = 2  # threads: one decodes while another encodes
OF_A_VIDEO = (VideoError, DataError, ServerError, InputError)  # errors that say nothing of the next video


def answer_all(
    system: System,
    samples: list[Sample],
    find: Callable[[str], Path],
    predictions: Path,
    ranks: Ranks,
    progress: Callable[[int, int], None] | None,
    cluster: Cluster | None = None,
    make: Callable[[], tuple[System, Callable[[str], Path]]] | None = None,
) -> dict[str, str]:
    """Rows of all samples in ``predictions``, in their order; gives the videos that failed with their sentence.

    Of several processes each answers its share of the groups; the first writes the file, after all have answered.
    With a cluster its workers, which ``make`` the system and ``find``, answer in place of this process.
    """
    groups = _groups(samples, getattr(system, "videos_together", 1))
    if ranks.first:
        _keep_whole(predictions, groups)
    ranks.wait()  # the others read what is done when the first has tidied up
    done = _finished(predictions)
    own = [group for group in groups[ranks.rank :: ranks.world] if not _ids(group) <= done]
    part = _part(predictions, ranks.rank) if ranks.world > 1 else predictions
    before = len(samples) - sum(len(samples_of) for group in own for _, samples_of in group)
    if cluster is None or make is None:
        at_once = getattr(system, "videos_at_once", 1)
        if at_once <= 1 and getattr(system, "videos_together", 1) > 1 and hasattr(system, "try_open"):
            told = _opened_ahead(system, find, own)
        else:
            told = _ahead(own, partial(_answer, system, find), at_once)
    else:
        told = _on_cluster(cluster, make, own)
    failed = _append(told, part, _counted(progress, before, len(samples)))
    found = {video: text for others in ranks.gather(failed) for video, text in others.items()}
    if ranks.first:
        _keep_whole(predictions, groups)
        _in_order(predictions, samples)
    return found


def _groups(samples: Sequence[Sample], together: int) -> list[Group]:
    """Videos in the order of the samples, ``together`` at a time: always the same, so that answers are, to the bit."""
    by_video: dict[tuple[str, Any], list[Sample]] = {}
    for sample in samples:
        by_video.setdefault((sample.video, sample.clip), []).append(sample)
    tasks = [(video, own) for (video, _), own in by_video.items()]
    return [tasks[start : start + together] for start in range(0, len(tasks), together)]


def _ids(group: Group) -> set[str]:
    return {sample.id for _, own in group for sample in own}


def _part(predictions: Path, rank: int) -> Path:
    """Where one of several processes writes; the first puts the parts together."""
    return predictions.with_name(f"predictions.{rank}.jsonl")


def _keep_whole(predictions: Path, groups: Sequence[Group]) -> None:
    """Rows of this file and of the parts of several processes, but for groups of which a video's rows are incomplete.

    A video that failed has no rows: its group is whole without it.
    """
    parts = sorted(predictions.parent.glob(_part(predictions, 0).name.replace("0", "*")))
    rows: dict[str, str] = {}
    for file in (predictions, *parts):
        for line in _lines(file):
            rows[str(_id_of(line))] = line
    whole: list[str] = []
    for group in groups:
        here = [[sample.id for sample in own if sample.id in rows] for _, own in group]
        if all(len(ids) in (0, len(own)) for ids, (_, own) in zip(here, group, strict=True)):
            whole += [rows[i] for ids in here for i in ids]
    if rows or predictions.exists():
        files.write_text(predictions, "".join(whole))
    for file in parts:
        file.unlink()


def _lines(file: Path) -> list[str]:
    """The lines of a file of rows but for those that a kill or a power cut damaged."""
    return [line for line in files.whole_lines(file) if _id_of(line) is not None]


def _id_of(line: str) -> str | None:
    try:
        row = files.loads(line)
    except ValueError:
        return None
    found = row.get("id") if isinstance(row, dict) else None
    return found if isinstance(found, str) else None


def _counted(progress: Callable[[int, int], None] | None, before: int, total: int) -> Callable[[int], None]:
    """``progress`` as a function of the samples done in this run."""
    return lambda done: progress(before + done, total) if progress else None


def _append(
    told: Iterator[tuple[Group, Callable[[], Answered]]], predictions: Path, progress: Callable[[int], None]
) -> dict[str, str]:
    """Appends the rows of every group; gives the videos that failed with their sentence."""
    failed: dict[str, str] = {}
    count = 0
    if not predictions.exists():
        files.write_text(predictions, "")
    for group, answer in told:
        text = ""
        for (video, own), rows in zip(group, answer(), strict=True):
            if isinstance(rows, VideoExpertError):
                failed[video] = str(rows)
            else:
                text += "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            count += len(own)
        files.append_lines(predictions, text)
        progress(count)
    return failed


def _answer(
    system: System, find: Callable[[str], Path], group: Group, opening: Opening | None = None
) -> Answered:
    """The rows of each video of a group, or why it has none; ``opening``: its videos, which threads open."""
    paths = [_located(find, video) for video, _ in group]
    there = [(path, own) for path, (_, own) in zip(paths, group, strict=True) if isinstance(path, Path)]
    many = getattr(system, "answer_many", None) if len(group) > 1 or opening else None
    try:
        opened = [opening[path, own[0].clip].result() for path, own in there] if opening else None
        rows = None
        if many is not None:
            rows = many(there) if opened is None else many(there, opened)
    except Exception as error:  # of one of them: which, and why, is found one by one
        if isinstance(error, VideoExpertError) and not isinstance(error, OF_A_VIDEO):
            raise
        rows = None
    found = iter([_alone(system, *task) for task in there] if rows is None else rows)
    return [path if isinstance(path, VideoError) else next(found) for path in paths]


def _opened_ahead(
    system: Any, find: Callable[[str], Path], groups: Sequence[Group]
) -> Iterator[tuple[Group, Callable[[], Answered]]]:
    """Each group with what gives its rows, in order. While a group is asked, threads open the videos of the next.

    So one video is decoded while another is encoded and the language model answers about a third; no more than two
    groups are open at a time.
    """
    with ThreadPoolExecutor(OPENERS, "open") as pool:

        def begin(group: Group) -> Opening:
            paths = [(_located(find, video), own) for video, own in group]
            there = [(path, own) for path, own in paths if isinstance(path, Path)]
            return {(path, own[0].clip): pool.submit(system.try_open, path, own) for path, own in there}

        try:
            opening = begin(groups[0]) if groups else {}
            for number, group in enumerate(groups):
                here, opening = opening, begin(groups[number + 1]) if number + 1 < len(groups) else {}
                yield group, partial(_answer, system, find, group, here)
        finally:  # an error or an interrupt: what waits is not opened
            pool.shutdown(wait=False, cancel_futures=True)


def _located(find: Callable[[str], Path], video: str) -> Path | VideoError:
    try:
        return find(video)
    except VideoError as error:
        return error


def _alone(system: System, path: Path, own: list[Sample]) -> list[Row] | VideoExpertError:
    try:
        return list(system.answer(path, own))
    except OF_A_VIDEO as error:
        return error
    except VideoExpertError:
        raise
    except Exception as error:  # whatever a file does to a decoder or model fails that file alone
        return VideoError(sentence(error))


def _ahead(
    groups: Sequence[Group], answer: Callable[[Group], Answered], at_once: int
) -> Iterator[tuple[Group, Callable[[], Answered]]]:
    """Each group with what gives its rows, in order; up to ``at_once`` groups are asked ahead of being written."""
    if at_once <= 1:
        for group in groups:
            yield group, partial(answer, group)
        return
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        waiting: deque[tuple[Group, Future[Answered]]] = deque()
        try:
            for group in groups:
                waiting.append((group, pool.submit(answer, group)))
                if len(waiting) >= 2 * at_once:
                    done, future = waiting.popleft()
                    yield done, future.result
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result
        finally:  # an error or an interrupt: what waits is not asked
            pool.shutdown(wait=False, cancel_futures=True)


def _on_cluster(
    cluster: Cluster, make: Callable[[], tuple[System, Callable[[str], Path]]], groups: Sequence[Group]
) -> Iterator[tuple[Group, Callable[[], Answered]]]:
    """Each group with what gives its rows, in the order in which workers end."""
    for group, found in spread(cluster, partial(_worker, make), groups):
        rows: Answered = [VideoError(found.reason) for _ in group] if isinstance(found, Lost) else found
        yield group, partial(list, rows)


def _worker(
    make: Callable[[], tuple[System, Callable[[str], Path]]],
) -> Callable[[Group], Answered]:
    """What a worker of a cluster does; a video that fails alone is tried again: another machine may see it."""
    system, find = make()

    def answer(group: Group) -> Answered:
        rows = _answer(system, find, group)
        if len(rows) == 1 and isinstance(rows[0], VideoExpertError):
            raise rows[0]
        return rows

    return answer


class Ranks:
    """This process among those that torchrun started; they share the videos. Alone without torchrun.

    The group ends with the context: a process that still holds one when the interpreter goes is often aborted there,
    and torchrun then takes the job for failed.
    """

    _made = False

    def __init__(self) -> None:
        self.rank, self.world = rank_of_process()
        if self.world > 1:
            from torch import distributed

            if not distributed.is_initialized():
                # one may have much more to do than another
                distributed.init_process_group("gloo", timeout=timedelta(days=30))
                self._made = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._made:
            from torch import distributed

            distributed.destroy_process_group()
            self._made = False

    @property
    def first(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes are here."""
        self.gather(None)

    def gather(self, value: T) -> list[T]:
        """The value of every process."""
        if self.world == 1:
            return [value]
        from torch import distributed

        found: list[Any] = [None] * self.world
        distributed.all_gather_object(found, value)
        return found


def _finished(predictions: Path) -> set[str]:
    """Ids already answered."""
    return {str(_id_of(line)) for line in _lines(predictions)}


def _in_order(predictions: Path, samples: list[Sample]) -> None:
    """Rows in the order of the samples, regardless of the order in which interrupted runs wrote them."""
    place = {sample.id: i for i, sample in enumerate(samples)}
    rows = [files.loads(line) for line in files.whole_lines(predictions)]
    rows.sort(key=lambda row: place.get(row["id"], len(place)))
    files.write_text(predictions, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
