"""Metrics of the HTTP server for Prometheus: requests, tokens, times, batches, the queue and the memory."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

__all__ = ["ServerMetrics"]

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class ServerMetrics:
    """Counters of one server, in a registry of their own; memory and CPU time of the process beside them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "vlmkit_requests", "Chat requests by HTTP status; 499: the client has hung up.", ["code"],
            registry=self._registry,
        )  # fmt: skip
        self.tokens = Counter("vlmkit_tokens", "Tokens of prompts and of answers.", ["kind"], registry=self._registry)
        self.videos = Counter(
            "vlmkit_videos", "Videos of requests, encoded or remembered.", ["state"], registry=self._registry
        )
        self.request_seconds = Histogram(
            "vlmkit_request_seconds", "From when a request is here until it is answered.", buckets=_SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self.batch_seconds = Histogram(
            "vlmkit_batch_seconds", "How long the model took for a batch.", buckets=_SECONDS, registry=self._registry
        )
        self.batch_size = Histogram(
            "vlmkit_batch_size", "Requests in a batch.", buckets=_SIZES, registry=self._registry
        )
        ProcessCollector(registry=self._registry)
        self._watch_accelerator()

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Have a number told that is asked for each time."""
        Gauge(f"vlmkit_{name}", meaning, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """Return all numbers in Prometheus' text format."""
        return generate_latest(self._registry)

    def _watch_accelerator(self) -> None:
        import torch

        if torch.cuda.is_available():
            self.watch("gpu_memory_bytes", "Memory of the GPU that tensors take.", torch.cuda.memory_allocated)
