"""Time, operations, parameters and memory of the visual parts of several specs, side by side in one run."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch._dynamo.exc import TorchDynamoException

from vlmkit._version import __version__
from vlmkit.api.modules import Aligner
from vlmkit.api.tensor_checks import trial_texts
from vlmkit.api.tensors import VideoBatch
from vlmkit.bench.memory import peak_bytes, reset_peak, resident_bytes
from vlmkit.errors import UserError
from vlmkit.model.aligners import build_aligner
from vlmkit.runtime import WorkerContext, check_device, exit_in_worker, keep_freed_memory
from vlmkit.spec.checks import ASPECTS
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.summary import count_macs, count_parameters

__all__ = ["TimingOptions", "VisionTimings", "bench_vision", "machine", "median_pass"]


_ROUND = 2.0
"""Seconds of passes of one spec in one round, at least."""


@dataclass(frozen=True)
class TimingOptions:
    """How to measure."""

    rounds: int = 5
    """In each round every spec has its turn: passes for some seconds, of which the median counts."""
    batch: int = 1
    """Videos per pass."""
    dtype: str = "float32"
    """`float32` or `bfloat16`."""
    threads: int = 2
    """CPU threads."""
    device: str = "cpu"
    """`cpu`, `cuda` or `cuda:N`."""
    compile: bool = False
    """Through torch.compile."""
    train: bool = False
    """Also time forward and backward together."""
    peaks: bool = True
    """Also take the peak memory, of each spec in a process of its own."""

    @property
    def torch_dtype(self) -> torch.dtype:
        """`dtype` as torch has it."""
        found: torch.dtype = getattr(torch, self.dtype)
        return found


@dataclass
class VisionTimings:
    """One spec's visual part: one square video, all frames (times are per batch)."""

    name: str
    parameters: int
    macs: int
    """Multiply-accumulates per video."""
    tokens: int
    """Tokens per video."""
    frames: int
    seconds: list[float] = field(default_factory=list)
    """Forward passes: the median of each round."""
    train_seconds: list[float] = field(default_factory=list)
    """Forward and backward passes."""
    fractions: list[float] = field(default_factory=list)
    """Multiply-accumulates per second as a fraction of the matrix product's beside it."""
    peak_bytes: int | None = None
    """Peak memory of a forward pass above the weights."""

    @property
    def median(self) -> float:
        """Median forward time, seconds per batch."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the range of the forward times, seconds."""
        return (max(self.seconds) - min(self.seconds)) / 2

    def as_dict(self) -> dict[str, Any]:
        """Plain data with the derived figures."""
        fraction = statistics.median(self.fractions)
        derived = {"median": self.median, "spread": self.spread, "fraction": fraction}
        if self.train_seconds:
            derived["train_median"] = statistics.median(self.train_seconds)
            ratios = [train / forward for train, forward in zip(self.train_seconds, self.seconds, strict=True)]
            derived["train_to_forward"] = statistics.median(ratios)
        return asdict(self) | derived


class _TimedAligner:
    """A spec's aligner with random weights and a square video."""

    def __init__(self, spec: ExperimentSpec, options: TimingOptions) -> None:
        self.device, dtype = torch.device(options.device), options.torch_dtype
        aligner, video = spec.model.aligner, spec.model.aligner.input
        with torch.device("meta"):
            meta = build_aligner(spec.model)
        shape = video.shape(*ASPECTS["square"])
        self.result = VisionTimings(
            spec.name, count_parameters(meta), count_macs(meta, video), aligner.layout(shape).tokens, shape.frames
        )
        torch.manual_seed(0)
        with self.device:
            self.aligner: Aligner = build_aligner(spec.model).to(dtype).eval()
        self.compiled = options.compile
        # Of an inference tensor that came from numpy torch.compile makes a guard that fails at once.
        self.no_gradient = torch.no_grad if options.compile else torch.inference_mode
        self.run: Callable[..., Any] = torch.compile(self.aligner) if options.compile else self.aligner
        pixels = torch.randn(options.batch, shape.frames, 3, shape.height, shape.width, device=self.device).to(dtype)
        video_batch = VideoBatch.full(pixels)
        self.inputs = (video_batch, *trial_texts(self.aligner, video_batch))

    def warm(self, train: bool = False) -> None:
        """Passes that are not measured: the first ones compile and allocate. A UserError where compiling fails."""
        try:
            for _ in range(3 if self.device.type == "cuda" else 1):
                self.forward()
                if train:
                    self.train_step()
        except (TorchDynamoException, AssertionError) as error:  # a guard that fails at once is an assertion
            if not self.compiled:
                raise
            reason = " ".join(str(error).partition("\n\n")[0].split())
            raise UserError(
                f"{self.result.name}: torch.compile cannot compile its visual part here ({reason}); leave --compile out"
            ) from error

    def forward(self) -> None:
        with self.no_gradient():
            self.run(*self.inputs)

    def train_step(self) -> None:
        self.aligner.train()
        self.run(*self.inputs).features.float().square().mean().backward()
        self.aligner.zero_grad(set_to_none=True)
        self.aligner.eval()


def bench_vision(
    specs: Sequence[ExperimentSpec], options: TimingOptions, say: Callable[[str], None] = lambda message: None
) -> list[VisionTimings]:
    """Measure the specs in turn, round by round; `say` is told what was done.

    Each pass stands beside a matrix product measured right before it, so that a noisy machine falsifies neither the
    comparison of the specs nor the fractions.
    """
    exit_in_worker()
    check_device(options.device)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    peaks = [_peak(spec, options) if options.peaks else None for spec in specs]
    aligners = [_TimedAligner(spec, options) for spec in specs]
    for aligner, peak in zip(aligners, peaks, strict=True):
        aligner.result.peak_bytes = peak
        aligner.warm(options.train)
        say(f"{aligner.result.name}: warm")
    for number in range(options.rounds):
        for aligner in aligners:
            rate = matmul_rate(aligner.device, options.torch_dtype)
            seconds = median_pass(aligner.forward, aligner.device)
            aligner.result.seconds.append(seconds)
            aligner.result.fractions.append(aligner.result.macs * options.batch / seconds / rate)
            if options.train:
                aligner.result.train_seconds.append(timed(aligner.train_step, aligner.device))
            say(f"round {number + 1} of {options.rounds}: {aligner.result.name} {seconds:.3f} s")
    return [aligner.result for aligner in aligners]


def median_pass(work: Callable[[], object], device: torch.device) -> float:
    """Return the median seconds of a pass. Short ones are repeated: the first finds the caches taken."""
    seconds: list[float] = []
    while sum(seconds) < _ROUND:
        seconds.append(timed(work, device))
    return statistics.median(seconds)


def _peak(spec: ExperimentSpec, options: TimingOptions) -> int | None:
    workers = WorkerContext()
    with workers.watched(), ProcessPoolExecutor(1, workers) as pool:
        return pool.submit(_peak_here, spec, options).result()


def _peak_here(spec: ExperimentSpec, options: TimingOptions) -> int | None:
    """Return the bytes that a forward pass needs beyond what is allocated before; None where that is not known.

    On a CPU the kernel's own high-water mark of resident memory (Linux): run it in a fresh process, since memory that
    an earlier pass gave back to the allocator would hide what this one needs.
    """
    torch.set_num_threads(options.threads)
    aligner = _TimedAligner(spec, options)
    device = aligner.device
    if options.compile:
        aligner.warm()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        aligner.forward()
        return torch.cuda.max_memory_allocated(device) - before
    if not reset_peak():
        return None
    before = resident_bytes()
    aligner.forward()
    return peak_bytes() - before


def machine(options: TimingOptions) -> dict[str, Any]:
    """Return a description of the machine, for the figures."""
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    rate = matmul_rate(device, options.torch_dtype)
    return {"device": name, "torch": torch.__version__, "vlmkit": __version__, "matmul_gmacs_per_second": rate / 1e9}


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that `work` takes: the GPU's own events where there is one, the wall clock otherwise."""
    if device.type != "cuda":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize(device)
    begin.record()
    work()
    end.record()
    torch.cuda.synchronize(device)
    return begin.elapsed_time(end) / 1000


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the multiply-accumulates per second of a square matrix product of side 2048 (8192 on a GPU), best of 3."""
    side = 8192 if device.type == "cuda" else 2048
    left, right, out = (torch.randn(side, side, device=device).to(dtype) for _ in range(3))
    torch.mm(left, right, out=out)  # the first one also loads what it needs
    return side**3 / min(timed(lambda: torch.mm(left, right, out=out), device) for _ in range(3))
