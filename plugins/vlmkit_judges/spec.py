"""Options of the judges."""

from __future__ import annotations

import os
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from vlmkit.api import Judge, JudgeSpec, SpecError, shown
from vlmkit.api.bounds import Batch, Fraction, Seed, Tokens

__all__ = ["DecisionSpec", "ExactSpec", "LocalSpec", "OpenAISpec"]

_Seconds = Annotated[float, Field(gt=0, le=86_400)]
_Price = Annotated[float, Field(ge=0, le=10_000)]


class ExactSpec(JudgeSpec):
    """Exact match after normalization. Offline and deterministic; a synonym counts as wrong."""

    type: Literal["exact"] = "exact"

    def build(self) -> Judge:
        """Return the judge."""
        from vlmkit_judges._module import ExactJudge

        return ExactJudge()


class OpenAISpec(JudgeSpec):
    """A language model behind an OpenAI-compatible endpoint: OpenAI itself, vLLM, SGLang, Ollama,
    `transformers serve`."""

    type: Literal["openai"] = "openai"
    model: Annotated[str, Field(min_length=1, max_length=300)]
    """As the server calls it; a dated version (`gpt-4o-2024-08-06`) does not change under you."""
    base_url: str = "https://api.openai.com/v1"
    """Address of the endpoint."""
    api_key_env: str | None = "OPENAI_API_KEY"
    """Environment variable with the key, which is written nowhere; None: the endpoint needs none."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """0: the likeliest reply; None: the prompt's."""
    seed: Seed | None = None
    """For servers that draw reproducibly."""
    max_tokens: Tokens | None = None
    """Longest reply, tokens; None: the prompt's."""
    max_completion_tokens: bool = False
    """Send the longest reply under this name, as OpenAI's reasoning models demand."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 8
    """Most requests on their way at any time."""
    max_retries: Annotated[int, Field(ge=0, le=100)] = 5
    """How often a request is repeated after a time-out, a lost connection, status 408, 409, 429 or 5xx."""
    timeout: _Seconds = 60.0
    """Longest silence of the server, seconds."""
    deadline: _Seconds = 600.0
    """Longest time for one answer with all repetitions, seconds."""
    input_price: _Price | None = None
    """US dollars per million tokens; None: not known."""
    output_price: _Price | None = None
    """US dollars per million tokens; None: not known."""

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            sound = False
        if not sound:
            raise ValueError(f"expected an address such as https://api.openai.com/v1; found {shown(url)}")
        return url

    @classmethod
    def tiny(cls) -> OpenAISpec:
        """A server on this machine."""
        return cls(model="tiny", base_url="http://127.0.0.1:8000/v1", api_key_env=None)

    def build(self) -> Judge:
        """Return the judge. A SpecError where the key is not set."""
        from vlmkit_judges._endpoint import EndpointJudge

        key = os.environ.get(self.api_key_env, "").strip() if self.api_key_env else ""
        if self.api_key_env and not key:
            raise SpecError(
                f"judge openai: the environment variable {self.api_key_env} is not set; put the key of "
                f"{urlsplit(self.base_url).hostname} there, or set api_key_env to null where none is needed"
            )
        return EndpointJudge(self, key)


class _CausalSpec(JudgeSpec):
    path: Annotated[str, Field(min_length=1, max_length=4096)]
    """Folder of a causal language model of transformers, with its tokenizer."""
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Type of the weights, in which the model computes."""
    batch_size: Batch = 16
    """Answers that are judged together; the size changes the last digits of a forward."""


class LocalSpec(_CausalSpec):
    """A language model of transformers on this machine. Its replies are greedy and read like those of an endpoint."""

    type: Literal["local"] = "local"

    @classmethod
    def tiny(cls) -> LocalSpec:
        """A folder that need not be there before the judge is built."""
        return cls(path="models/judge")

    def build(self) -> Judge:
        """Return the judge. A SpecError where the folder holds no model."""
        from vlmkit_judges._causal import CausalModel, model_identity
        from vlmkit_judges._local import LocalJudge

        return LocalJudge(CausalModel(self.path, self.dtype), model_identity(self.path), self.batch_size)


class DecisionSpec(_CausalSpec):
    """A language model of transformers on this machine that decides by the probabilities of yes and no and of the
    scores 0 to 5, so that nothing is parsed."""

    type: Literal["decision"] = "decision"
    min_mass: Fraction = 0.5
    """Least probability on the words of a reply; with less the answer is unscored."""

    @classmethod
    def tiny(cls) -> DecisionSpec:
        """A folder that need not be there before the judge is built."""
        return cls(path="models/judge")

    def build(self) -> Judge:
        """Return the judge. A SpecError where the folder holds no model."""
        from vlmkit_judges._causal import CausalModel, model_identity
        from vlmkit_judges._decision import DecisionJudge

        model = CausalModel(self.path, self.dtype)
        return DecisionJudge(model, model_identity(self.path), self.batch_size, self.min_mass)
